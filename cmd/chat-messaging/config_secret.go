package main

import (
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"strings"

	"chat-messaging/http"
)

const hidden = "xxxxx"

// Secret is text that no way of printing shows; string(s) reveals it.
type Secret string

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString keeps %#v from showing the secret.
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.String()) }

// MarshalText keeps JSON and slog from showing the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// SecretURL is a URL that is printed without its password; string(u) reveals it.
type SecretURL string

func (u SecretURL) String() string { return redactURL(string(u)) }

// GoString keeps %#v from showing the password.
func (u SecretURL) GoString() string { return fmt.Sprintf("%q", u.String()) }

// MarshalText keeps JSON and slog from showing the password.
func (u SecretURL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// redactURL hides the password, and the whole text where it cannot be sure
// which part of it that is.
func redactURL(text string) string {
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.Scheme == "" {
		return hidden
	}
	// A reserved character in a password moves the rest of it elsewhere.
	if strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
		return hidden
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), hidden)
	} else if u.User != nil && strings.HasPrefix(u.Scheme, "http") {
		u.User = url.User(hidden) // a token is often given as the user
	}
	query := u.Query()
	for name := range query {
		if looksSecret(name) {
			query.Set(name, hidden)
		}
	}
	if u.RawQuery != "" {
		u.RawQuery = query.Encode()
	}
	return u.String()
}

func looksSecret(parameter string) bool {
	name := strings.ToLower(parameter)
	for _, word := range []string{"pass", "secret", "token", "key"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// Redacted lists every setting in effect, without the secrets.
func (c Config) Redacted() []http.Setting {
	value := reflect.ValueOf(c)
	settings := make([]http.Setting, 0, value.NumField())
	for i := range value.NumField() {
		settings = append(settings, http.Setting{
			Name:  value.Type().Field(i).Tag.Get("env"),
			Value: fmt.Sprint(value.Field(i).Interface()),
		})
	}
	return settings
}

// LogValue lets the configuration be logged as it is, without the secrets.
func (c Config) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, s := range c.Redacted() {
		attrs = append(attrs, slog.String(s.Name, s.Value))
	}
	return slog.GroupValue(attrs...)
}
