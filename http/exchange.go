package http

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"
)

// exchange is one request and its answer on their way through the server: what
// the layers tell each other about it. It is also the response writer, so that
// the status is known afterwards.
type exchange struct {
	http.ResponseWriter
	// id is the request id, the client's own if it is fit to be logged.
	id string
	// route is the name of the route, for logs and metrics: never the path,
	// which may hold ids and, where a client errs, tokens.
	route string
	// prefixed says that the path came with the reverse proxy's prefix.
	prefixed bool
	// user is who asks, 0 until authenticated.
	user int64
	// operator is the operator who asks, on the routes for operators.
	operator caller
	// session is theirs, on the pages of the console.
	session session
	started time.Time
	status  int
}

type exchangeKey struct{}

func newExchange(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{ResponseWriter: w, id: r.Header.Get(headerRequestID), route: "unmatched", started: time.Now()}
	if !isRequestID(x.id) {
		x.id = rand.Text()
	}
	return x
}

// exchangeOf returns the exchange that the context belongs to.
func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// WriteHeader notes the status.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write implies a status of 200, like net/http's.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	return x.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find the connection.
func (x *exchange) Unwrap() http.ResponseWriter {
	return x.ResponseWriter
}

const headerRequestID = "X-Request-Id"

// isRequestID keeps what cannot be told apart from our own text out of the log.
func isRequestID(id string) bool {
	if len(id) == 0 || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}
