package http

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"
)

// endpoint handles a request or says why not.
type endpoint func(w http.ResponseWriter, r *http.Request) error

// route is one line of the table. The path is without the prefix and without a
// trailing slash, see normalise.
type route struct {
	method, path, name string
	handle             endpoint
}

// routes is the whole mux table. The busiest come first: mux tries in order.
func (s *Server) routes() http.Handler {
	router := mux.NewRouter().SkipClean(true).UseEncodedPath()
	if s.cfg.API {
		s.add(router,
			route{http.MethodGet, "/messages/get-messages", "get_messages", s.authenticated(s.getMessages)},
			route{http.MethodGet, "/chats/get-chats", "get_chats", s.authenticated(s.getChats)},
			route{http.MethodPost, "/chats", "create_chat", s.authenticated(s.createChat)},
			route{http.MethodGet, "/chats/{id:[0-9]{1,19}}", "get_chat", s.authenticated(s.getChat)},
			route{http.MethodPost, "/chats/update-chat-related-user", "update_user", s.authenticated(s.updateUser)},
			route{http.MethodGet, "/messages/{chat:[0-9]{1,19}}-{seq:[0-9]{1,19}}", "get_message", s.authenticated(s.getMessage)},
			route{http.MethodGet, "/openapi.json", "openapi", s.openAPI},
			route{http.MethodGet, "/asyncapi.json", "asyncapi", s.asyncAPI},
			route{http.MethodGet, "/docs", "docs", s.showAPI},
			route{http.MethodGet, "/docs/events", "docs_events", s.showEvents},
			route{http.MethodGet, "/docs/{file}", "docs_file", s.showDocsFile},
		)
	}
	s.add(router,
		route{http.MethodGet, pathHealth, "healthz", s.healthz},
		route{http.MethodGet, pathReady, "readyz", s.readyz},
		route{http.MethodGet, pathMetrics, "metrics", s.showMetrics},
	)
	hidden(router, "metrics")
	if s.access != nil {
		s.addForOperators(router, s.adminRoutes(), s.admin)
		s.addForOperators(router, s.consoleRoutes(), s.onConsole)
		s.addForOperators(router, s.entranceRoutes(), s.beforeConsole)
	}
	router.NotFoundHandler = s.answering(func(http.ResponseWriter, *http.Request) error { return problemNotFound })
	router.MethodNotAllowedHandler = s.answering(func(w http.ResponseWriter, r *http.Request) error {
		allow := allowed(router, r)
		if r.Method == http.MethodOptions {
			w.Header().Set("Allow", allow)
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		p := problemMethodNotAllowed
		p.allow = allow
		return p
	})
	return router
}

const (
	pathHealth  = "/healthz"
	pathReady   = "/readyz"
	pathMetrics = "/metrics"
)

func isProbe(path string) bool {
	return path == pathHealth || path == pathReady || path == pathMetrics
}

func (s *Server) add(router *mux.Router, table ...route) {
	for _, line := range table {
		methods := []string{line.method}
		if line.method == http.MethodGet {
			// net/http leaves the body out of the answer.
			methods = append(methods, http.MethodHead)
		}
		answer := s.answering(line.handle)
		router.Path(line.path).Methods(methods...).Name(line.name).
			HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				exchangeOf(r.Context()).route = line.name
				answer(w, r)
			})
	}
}

// answering turns an endpoint's error into its answer.
func (s *Server) answering(handle endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := handle(w, r); err != nil {
			s.fail(w, r, err)
		}
	}
}

// allowed lists the methods that the request's path does support, which mux
// does not tell.
func allowed(router *mux.Router, r *http.Request) string {
	methods := []string{http.MethodOptions}
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut} {
		probe := r.Clone(r.Context())
		probe.Method = method
		var match mux.RouteMatch
		if router.Match(probe, &match) && match.MatchErr == nil {
			methods = append(methods, method)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// databaseContext bounds what one request waits for the database.
func (s *Server) databaseContext(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), s.cfg.DatabaseTimeout)
}
