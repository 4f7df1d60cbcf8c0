package http

import (
	_ "embed"
	"net/http"
)

// openAPIText is the description of the API that the tests hold every answer against.
//
//go:embed openapi.json
var openAPIText []byte

func (s *Server) openAPI(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-cache")
	respondTagged(w, r, "application/json", openAPIText, tagOf(openAPIText))
	return nil
}
