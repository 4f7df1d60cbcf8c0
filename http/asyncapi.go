package http

import (
	_ "embed"
	"net/http"
)

// asyncAPIText describes what the service takes from RabbitMQ and sends there.
// The tests of package pipeline hold it against what really goes over the wire.
//
//go:embed asyncapi.json
var asyncAPIText []byte

func (s *Server) asyncAPI(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-cache")
	respondTagged(w, r, "application/json", asyncAPIText, tagOf(asyncAPIText))
	return nil
}
