package http

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxUsername  = 256  // characters
	maxAvatarURL = 2048 // bytes
)

// updateUser answers POST /chats/update-chat-related-user, which the auth service
// calls with the user's own token.
func (s *Server) updateUser(w http.ResponseWriter, r *http.Request) error {
	user, changes, err := readDetails(w, r)
	if err != nil {
		return err
	}
	if !s.permitted(r, actionUpdateProfile, nil, user) {
		return problemForbidden
	}
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	if err := s.reader.UpdateUser(ctx, user, changes); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// readDetails reads whose details are to change, and the members to put into them.
func readDetails(w http.ResponseWriter, r *http.Request) (int64, []byte, error) {
	var body struct {
		ID        jsontext.Value `json:"id"`
		Username  jsontext.Value `json:"username"`
		AvatarURL jsontext.Value `json:"avatar_url"`
	}
	if err := readBody(w, r, &body); err != nil {
		return 0, nil, err
	}
	var faults []fieldFault
	user, err := positiveInteger(body.ID)
	if err != nil {
		faults = append(faults, fieldFault{"id", "must be a positive integer"})
	}
	if name, ok := text(body.Username); !ok || !isUsername(name) {
		faults = append(faults, fieldFault{"username", "must be a name of 1 to 256 characters without control characters"})
	}
	changes := append([]byte(`{"id":`), body.ID...)
	changes = append(append(changes, `,"username":`...), body.Username...)
	if body.AvatarURL != nil {
		if !isAvatar(body.AvatarURL) {
			faults = append(faults, fieldFault{"avatar_url", "must be null or an http or https URL of up to 2048 bytes"})
		}
		changes = append(append(changes, `,"avatar_url":`...), body.AvatarURL...)
	}
	if len(faults) > 0 {
		return 0, nil, invalid(faults...)
	}
	return user, append(changes, '}'), nil
}

func isUsername(name string) bool {
	return strings.TrimSpace(name) != "" && utf8.RuneCountInString(name) <= maxUsername && !strings.ContainsFunc(name, unicode.IsControl)
}

// isAvatar lets through what a browser will fetch and never run. A path of the
// site itself is such a thing too.
func isAvatar(value jsontext.Value) bool {
	if value.Kind() == 'n' {
		return true
	}
	address, ok := text(value)
	if !ok || len(address) > maxAvatarURL {
		return false
	}
	unsafe := func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) || r == '\\' }
	if strings.ContainsFunc(address, unsafe) {
		return false
	}
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	switch u.Scheme {
	case "http", "https":
		return u.Host != ""
	case "":
		return true
	default:
		return false
	}
}

// text reads a JSON string.
func text(value jsontext.Value) (string, bool) {
	var s string
	if value.Kind() != '"' || json.Unmarshal(value, &s) != nil {
		return "", false
	}
	return s, true
}

// elementsOf splits a JSON array into its elements.
func elementsOf(value jsontext.Value) ([]jsontext.Value, bool) {
	if value.Kind() != '[' {
		return nil, false
	}
	d := jsontext.NewDecoder(bytes.NewReader(value))
	if _, err := d.ReadToken(); err != nil {
		return nil, false
	}
	var elements []jsontext.Value
	for d.PeekKind() != ']' {
		element, err := d.ReadValue()
		if err != nil {
			return nil, false
		}
		elements = append(elements, element.Clone())
	}
	return elements, true
}
