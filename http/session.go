package http

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// sessionFor is how long a log-in lasts: a shift.
const sessionFor = 8 * time.Hour

// session is one log-in to the console. It lives in the browser's cookie only,
// sealed, so that every instance knows it and none stores it.
type session struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Role    Role      `json:"role"`
	Expires time.Time `json:"expires"`
}

// sessionCodec seals sessions, and derives from each the token that its forms
// carry. It is safe for concurrent use.
type sessionCodec struct {
	seal    cipher.AEAD
	formKey []byte
	now     func() time.Time
}

// newSessionCodec derives its keys from every secret that the configuration has:
// whoever changes one of them ends all sessions, which is also how an operator
// is shut out at once. A public KEY is none; where there is no secret at all,
// sessions are this process's own and end with it.
func newSessionCodec(c Config) (*sessionCodec, error) {
	var secrets strings.Builder
	add := func(parts ...string) {
		for _, part := range parts {
			fmt.Fprintf(&secrets, "%d:%s,", len(part), part)
		}
	}
	if algorithms[c.Algorithm] == familySecret {
		add(c.Key)
	}
	for _, o := range c.Operators {
		add(o.Name, string(o.Role), o.Secret)
	}
	if secrets.Len() == 0 {
		add(rand.Text())
	}
	add(c.RoleClaim)
	keys := make([][]byte, 2)
	for i, purpose := range []string{"chat-messaging console session", "chat-messaging console form"} {
		var err error
		if keys[i], err = hkdf.Key(sha256.New, []byte(secrets.String()), nil, purpose, sha256.Size); err != nil {
			return nil, fmt.Errorf("deriving the session key: %w", err)
		}
	}
	block, err := aes.NewCipher(keys[0])
	if err != nil {
		return nil, fmt.Errorf("preparing the session cipher: %w", err)
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("preparing the session cipher: %w", err)
	}
	return &sessionCodec{seal: seal, formKey: keys[1], now: c.Now}, nil
}

// open begins a session for the operator, which ends no later than the proof.
func (c *sessionCodec) open(who caller) session {
	expires := c.now().Add(sessionFor)
	if !who.until.IsZero() && who.until.Before(expires) {
		expires = who.until
	}
	return session{ID: rand.Text(), Name: who.name, Role: who.role, Expires: expires}
}

var errNoSession = errors.New("no session")

func (c *sessionCodec) encode(s session) (string, error) {
	plain, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("encoding a session: %w", err)
	}
	return c.sealText(plain, sealedSession), nil
}

// What is sealed, so that nothing passes for something else.
const (
	sealedSession = "session"
	sealedFilter  = "filter"
)

// sealText hides what a browser keeps for us: nobody else can read it, nor make
// it up.
func (c *sessionCodec) sealText(plain []byte, kind string) string {
	sealed := c.seal.Seal(nil, nil, plain, []byte(kind)) //nolint:gosec // this cipher makes the nonce itself
	return base64.RawURLEncoding.EncodeToString(sealed)
}

var errNotSealed = errors.New("not sealed here")

func (c *sessionCodec) openText(text, kind string) ([]byte, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errNotSealed
	}
	plain, err := c.seal.Open(nil, nil, sealed, []byte(kind))
	if err != nil {
		return nil, errNotSealed
	}
	return plain, nil
}

func (c *sessionCodec) decode(text string) (session, error) {
	plain, err := c.openText(text, sealedSession)
	if err != nil {
		return session{}, errNoSession
	}
	var s session
	if err := json.Unmarshal(plain, &s); err != nil || !c.now().Before(s.Expires) {
		return session{}, errNoSession
	}
	return s, nil
}

// formToken is what a form of the session must bring along.
func (c *sessionCodec) formToken(s session) string {
	mac := hmac.New(sha256.New, c.formKey)
	_, _ = io.WriteString(mac, s.ID)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (c *sessionCodec) formTokenFits(s session, given string) bool {
	return hmac.Equal([]byte(c.formToken(s)), []byte(given))
}

// The cookie's name where there is TLS, from the browser to us or to a proxy in
// front: with this prefix a browser accepts it from this host and encrypted only.
const (
	secureCookie = "__Host-chat-messaging-console"
	plainCookie  = "chat-messaging-console"
)

// overTLS tells whether the browser speaks TLS. Whoever forges the header only
// makes their own cookie stricter.
func overTLS(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// cookie is the session's, or one that removes it if value is empty.
func (c *sessionCodec) cookie(r *http.Request, value string, expires time.Time) *http.Cookie {
	cookie := &http.Cookie{
		Name: plainCookie, Value: value, Path: "/console", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		MaxAge: int(expires.Sub(c.now()) / time.Second),
	}
	if value == "" {
		cookie.MaxAge = -1
	}
	if overTLS(r) {
		cookie.Name, cookie.Path, cookie.Secure = secureCookie, "/", true // the prefix asks for both
	}
	return cookie
}

// sessionOf reads the request's session.
func (c *sessionCodec) sessionOf(r *http.Request) (session, error) {
	name := plainCookie
	if overTLS(r) {
		name = secureCookie
	}
	cookies := r.CookiesNamed(name)
	if len(cookies) != 1 {
		return session{}, errNoSession
	}
	return c.decode(cookies[0].Value)
}
