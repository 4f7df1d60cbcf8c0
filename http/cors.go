package http

import (
	"net/http"
	"slices"
)

// cors lets browsers on the configured origins use the API, with credentials. An
// origin is compared letter by letter; another one gets no CORS header at all. Nor does
// anyone on the routes for operators: a frontend on the same host would otherwise
// read the console with the operator's cookie.
func (s *Server) cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Vary"] = []string{"Origin"}
		origin := r.Header["Origin"]
		allowed := len(origin) == 1 && slices.Contains(s.cfg.CORSOrigins, origin[0]) && !isForOperators(r.URL.Path)
		if allowed {
			h["Access-Control-Allow-Origin"] = origin
			h["Access-Control-Allow-Credentials"] = []string{"true"}
			h["Access-Control-Expose-Headers"] = []string{"ETag, Link, Retry-After, X-Request-Id"}
		}
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			next.ServeHTTP(w, r)
			return
		}
		exchangeOf(r.Context()).route = "preflight"
		if allowed {
			h["Access-Control-Allow-Methods"] = []string{"GET, HEAD, POST"}
			h["Access-Control-Allow-Headers"] = []string{"Authorization, Content-Type, If-None-Match, X-Request-Id"}
			h["Access-Control-Max-Age"] = []string{"600"}
		}
		w.WriteHeader(http.StatusNoContent)
	})
}
