package http

import (
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// buffers are kept between answers; one that a rare large answer has grown is not.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

const maxKeptBuffer = 256 << 10

// respondJSON answers with what encode appends. The answer has an ETag, and is
// empty if it is the one that the client holds already.
func respondJSON(w http.ResponseWriter, r *http.Request, encode func(dst []byte) []byte) error {
	buffer, _ := buffers.Get().(*[]byte)
	body := encode((*buffer)[:0])
	respondTagged(w, r, "application/json", body, tagOf(body))
	if cap(body) <= maxKeptBuffer {
		*buffer = body
		buffers.Put(buffer)
	}
	return nil
}

func respondTagged(w http.ResponseWriter, r *http.Request, contentType string, body []byte, tag string) {
	h := w.Header()
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		h["Etag"] = []string{tag}
		if matches(r.Header["If-None-Match"], tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h["Content-Type"] = []string{contentType}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	cork(r, len(body))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body)
}

// tagOf is the same on every replica and after every restart.
func tagOf(body []byte) string {
	return `"` + strconv.FormatUint(xxhash.Sum64(body), 36) + `"`
}

// matches compares weakly, as RFC 9110 says for If-None-Match.
func matches(given []string, tag string) bool {
	for _, list := range given {
		for candidate := range strings.SplitSeq(list, ",") {
			candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
			if candidate == tag || candidate == "*" {
				return true
			}
		}
	}
	return false
}
