package http

import (
	"log/slog"
	"net/http"
	"strings"

	"chat-messaging/queries"
)

// viaConsole is how the audit calls this way of acting.
const viaConsole = "console"

const (
	pathConsole = "/console"
	pathLogin   = pathConsole + "/login"
)

// loginForm is what the log-in page shows.
type loginForm struct {
	Next string
	// Fault is why the last try did not succeed.
	Fault string
	// Tokens and Claims tell which kinds of secrets there are.
	Tokens, Claims bool
}

func (s *Server) showLogin(w http.ResponseWriter, r *http.Request) error {
	next := backTo(r.URL.Query().Get("next"))
	if _, err := s.access.sessions.sessionOf(r); err == nil {
		redirect(w, next)
		return nil
	}
	return s.showLoginForm(w, r, http.StatusOK, next, "")
}

func (s *Server) showLoginForm(w http.ResponseWriter, r *http.Request, status int, next, fault string) error {
	return s.showAs(w, r, status, "login", "Log in", "", loginForm{
		Next: next, Fault: fault, Tokens: len(s.cfg.Operators) > 0, Claims: s.cfg.RoleClaim != "",
	})
}

// login opens a session for who knows a secret or holds a token.
func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	next := backTo(r.PostForm.Get("next"))
	secret := strings.TrimSpace(r.PostForm.Get("secret"))
	who, err := s.attempt(r, secret)
	switch {
	case err == nil && !who.role.includes(RoleViewer):
		return s.showLoginForm(w, r, http.StatusForbidden, next, "You are known, but neither viewer nor operator.")
	case err != nil && problemOf(r.Context(), err).Status == http.StatusUnauthorized:
		return s.showLoginForm(w, r, http.StatusUnauthorized, next, "That is nobody's secret, and no token that is valid now.")
	case err != nil:
		return err
	}
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	// Whoever comes because the database is away must get in, so a record that
	// cannot be written is only logged.
	if err := s.cfg.DB.RecordAudit(ctx, queries.AuditRecord{
		Who: who.name, Via: viaConsole, Action: "login", Affected: 1, Result: queries.AuditDone, Detail: "as " + string(who.role),
	}); err != nil {
		s.log.LogAttrs(r.Context(), slog.LevelWarn, "the log-in could not be recorded", slog.Any("err", err))
	}
	opened := s.access.sessions.open(who)
	value, err := s.access.sessions.encode(opened)
	if err != nil {
		return err
	}
	exchangeOf(r.Context()).operator = who
	s.log.LogAttrs(r.Context(), slog.LevelInfo, "operator logged in", slog.String("operator", who.name),
		slog.String("role", string(who.role)), slog.String("request_id", exchangeOf(r.Context()).id))
	http.SetCookie(w, s.access.sessions.cookie(r, value, opened.Expires))
	redirect(w, next)
	return nil
}

// logout removes the cookie. It is all there is of a session.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	http.SetCookie(w, s.access.sessions.cookie(r, "", s.console.now()))
	redirect(w, pathLogin)
	return nil
}
