package http

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxFormBytes is room for the largest message, edited, with every byte escaped.
const maxFormBytes = 1 << 20

// formTokenField is the field of a form that proves it to be of this log-in.
const formTokenField = "form_token"

// beforeConsole guards what is there without a log-in: the log-in and the files.
// A form must still come from our own page, or others could log a browser in.
func (s *Server) beforeConsole(_ Role, next endpoint) endpoint {
	return s.asPage(func(w http.ResponseWriter, r *http.Request) error {
		if err := s.readForm(w, r); err != nil {
			return err
		}
		return next(w, r)
	})
}

// onConsole lets only operators of the role through whose browser has a session,
// and of their forms only those that a page of this session has sent.
func (s *Server) onConsole(role Role, next endpoint) endpoint {
	return s.asPage(func(w http.ResponseWriter, r *http.Request) error {
		opened, err := s.access.sessions.sessionOf(r)
		if err != nil {
			return s.sendToLogin(w, r)
		}
		exchangeOf(r.Context()).session = opened
		if err := s.readForm(w, r); err != nil {
			return err
		}
		s.takeTime(w)
		if isForm(r) && !s.access.sessions.formTokenFits(opened, r.PostForm.Get(formTokenField)) {
			return problemForeignForm
		}
		return s.enter(w, r, caller{opened.Name, opened.Role, opened.Expires}, role, next)
	})
}

// takeTime frees a request that has been read from the times of the API, after
// which net/http would cancel it or cut its answer off: an operator's question may
// go through many messages. What it asks of the database has its own deadline.
func (s *Server) takeTime(w http.ResponseWriter) {
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Time{}) // an error means that there is none
	_ = connection.SetWriteDeadline(time.Now().Add(consoleLongest + s.cfg.WriteTimeout))
}

func isForm(r *http.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }

// readForm reads the fields of a form that comes from our own origin.
func (s *Server) readForm(w http.ResponseWriter, r *http.Request) error {
	if !isForm(r) {
		return nil
	}
	if err := s.access.origin.Check(r); err != nil {
		return problemForeignForm
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return problemForeignForm
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
	if err := r.ParseForm(); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			p := problemTooLarge
			p.Detail = "The form must not be larger than 1 MiB."
			return p
		}
		return problemBadRequest
	}
	return nil
}

// sendToLogin sends a browser to the log-in, and from there back. A form is not
// sent again by itself, and a part of a page cannot show the log-in.
func (s *Server) sendToLogin(w http.ResponseWriter, r *http.Request) error {
	if r.Header.Get("HX-Request") != "" {
		w.Header().Set("HX-Redirect", pathLogin)
		w.WriteHeader(http.StatusUnauthorized)
		return nil
	}
	if isForm(r) {
		p := problemUnauthenticated
		p.Detail = "You are not logged in any more. Nothing was done."
		return p
	}
	redirect(w, pathLogin+"?"+url.Values{"next": {r.RequestURI}}.Encode())
	return nil
}

// backTo is the page of ours to go to after the log-in, whatever a link says.
func backTo(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, pathConsole+"/") || strings.Contains(u.Path, "..") {
		return pathConsole + "/"
	}
	return u.RequestURI()
}

// redirect sends the browser on with a GET.
func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// asPage gives an endpoint the console's headers, and shows its errors as a page.
func (s *Server) asPage(next endpoint) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		consoleHeaders(w, r)
		err := next(w, r)
		if err == nil {
			return nil
		}
		p := problemOf(r.Context(), err)
		p.RequestID = exchangeOf(r.Context()).id
		s.logFailure(r, p, err)
		if p.retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(p.retryAfter))
		}
		return s.showAs(w, r, p.Status, "error", p.Title, "", p)
	}
}
