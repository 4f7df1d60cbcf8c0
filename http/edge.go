package http

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
)

// edge puts around the router what must also hold for a request that no route
// takes: gorilla/mux runs its own middleware only on a match.
func (s *Server) edge(router http.Handler) http.Handler {
	// Outermost last, read from the bottom: a request is identified and observed
	// before anything can fail, and a panic is caught inside CORS, because a
	// browser hides an answer without its headers from the frontend.
	h := router
	h = s.limit(h)
	h = s.normalise(h)
	h = s.recoverPanics(h)
	h = s.cors(h)
	h = s.observe(h)
	return h
}

// observe opens the exchange and reports it when it is over. Successes are told
// by the metrics; in the log they are for debugging.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := newExchange(w, r)
		h := w.Header()
		h[headerRequestID] = []string{x.id}
		h["X-Content-Type-Options"] = []string{"nosniff"}
		h["Content-Security-Policy"] = []string{"default-src 'none'; frame-ancestors 'none'"}
		s.metrics.inProgress.Inc()
		next.ServeHTTP(x, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
		s.metrics.inProgress.Dec()
		took := time.Since(x.started)
		s.metrics.observe(x.route, r.Method, x.status, took)
		level := slog.LevelDebug
		if x.status >= http.StatusBadRequest {
			level = slog.LevelInfo
		}
		if s.log.Enabled(r.Context(), level) {
			s.log.LogAttrs(r.Context(), level, "request answered",
				slog.String("route", x.route), slog.String("method", methodLabel(r.Method)), slog.Int("status", x.status),
				slog.Duration("took", took), slog.String("request_id", x.id), slog.Int64("user_id", x.user),
				slog.String("operator", x.operator.name))
		}
	})
}

// recoverPanics answers for a handler that panicked. The process lives.
func (s *Server) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			x := exchangeOf(r.Context())
			s.metrics.panics.Inc()
			s.log.LogAttrs(r.Context(), slog.LevelError, "handler panicked", slog.String("route", x.route),
				slog.String("request_id", x.id), slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
			if x.status != 0 {
				// The answer has begun; only a broken connection tells that it is not whole.
				panic(http.ErrAbortHandler)
			}
			s.fail(w, r, problemInternal)
		}()
		next.ServeHTTP(w, r)
	})
}

// maxHeaders bounds the number of header fields; net/http bounds their bytes.
const maxHeaders = 100

// pathPrefix is what the reverse proxy passes through.
const pathPrefix = "/messaging"

// normalise makes the ways to write a path one: the prefix and one trailing slash
// go. What is still unusual after that is no route of ours; nothing is cleaned
// and nothing redirected, since a redirect loses the body.
func (s *Server) normalise(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 {
			// net/http obeys it and forgets a Content-Length beside it. If a proxy in
			// front did the opposite, what follows is not what it took for a request.
			w.Header().Set("Connection", "close")
		}
		if len(r.Header) > maxHeaders {
			s.fail(w, r, problemHeaders)
			return
		}
		if strings.ContainsAny(r.URL.RawQuery, ";%") { // all else parses
			if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
				s.fail(w, r, problemBadRequest)
				return
			}
		}
		path, prefixed := strings.CutPrefix(r.URL.Path, pathPrefix+"/")
		if prefixed {
			path = "/" + path
			exchangeOf(r.Context()).prefixed = true
		}
		if len(path) > 1 {
			path = strings.TrimSuffix(path, "/")
		}
		// RawPath is only set for a path with needless escapes. The routes are
		// matched against it then, and none has any.
		if path != r.URL.Path && r.URL.RawPath == "" {
			u := *r.URL
			u.Path = path
			clone := *r
			clone.URL = &u
			r = &clone
		}
		next.ServeHTTP(w, r)
	})
}

// limit answers at once when too much is in progress, instead of letting
// everybody wait. Probes are exempt: an overloaded process lives.
func (s *Server) limit(next http.Handler) http.Handler {
	slots := make(chan struct{}, s.cfg.MaxConcurrent)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isProbe(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			next.ServeHTTP(w, r)
		default:
			s.fail(w, r, problemOverloaded)
		}
	})
}
