package http

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxBodyBytes = 64 << 10
	maxBodyDepth = 32
)

// readBody decodes the request's body, which must be one JSON object, into v.
// Names count to the letter and must not repeat; unknown ones are ignored.
func readBody(w http.ResponseWriter, r *http.Request, v any) error {
	if !isPlainJSON(r.Header) {
		return problemMediaType
	}
	if r.ContentLength > maxBodyBytes {
		return problemTooLarge
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return problemTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problemSlowRequest
	case err != nil:
		return fmt.Errorf("%w: %w", problemMalformedBody, err)
	}
	if !utf8.Valid(text) || tooDeep(text) || jsontext.Value(text).Kind() != '{' {
		return problemMalformedBody
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%w: %w", problemMalformedBody, err)
	}
	return nil
}

// isPlainJSON also stands in the way of other sites: a browser asks before it
// sends this content type for a page of another origin.
func isPlainJSON(h http.Header) bool {
	for _, encoding := range h["Content-Encoding"] {
		if !strings.EqualFold(strings.TrimSpace(encoding), "identity") {
			return false
		}
	}
	given := h["Content-Type"]
	if len(given) != 1 {
		return false
	}
	mediaType, parameters, err := mime.ParseMediaType(given[0])
	if err != nil || mediaType != "application/json" {
		return false
	}
	charset, stated := parameters["charset"]
	return !stated || strings.EqualFold(charset, "utf-8")
}

// tooDeep counts brackets outside of strings.
func tooDeep(text []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxBodyDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
