package http

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"chat-messaging/queries"
)

// problem is an answer of application/problem+json (RFC 9457). As an error it
// says what the client is told; the cause, for the log, is wrapped beside it.
type problem struct {
	Type      string       `json:"type"`
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Detail    string       `json:"detail"`
	RequestID string       `json:"request_id"`
	Errors    []fieldFault `json:"errors,omitempty"`
	UserIDs   []int64      `json:"user_ids,omitempty"`

	// retryAfter, in seconds, and allow become headers.
	retryAfter int
	allow      string
	// closes ends the connection: the rest of the request is not worth reading.
	closes bool
}

// fieldFault names one parameter or member of the body that was refused.
type fieldFault struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// problemType is the part of a type that all have in common. Types are stable:
// clients compare them.
const problemType = "urn:chat-messaging:problem:"

func newProblem(status int, name, title, detail string) problem {
	return problem{Type: problemType + name, Title: title, Status: status, Detail: detail}
}

// The problems, in the order of their status. Those that carry something of the
// request are functions.
var (
	problemBadRequest = newProblem(http.StatusBadRequest, "bad-request",
		"Bad request", "The request's URL is malformed.")
	problemMalformedBody = newProblem(http.StatusBadRequest, "malformed-body",
		"Malformed body", "The body must be one JSON object in UTF-8, without repeated names.")
	problemUnauthenticated = newProblem(http.StatusUnauthorized, "unauthenticated",
		"Not authenticated", "A valid bearer token is required.")
	problemForbidden = newProblem(http.StatusForbidden, "forbidden",
		"Not permitted", "You are not permitted to do this.")
	problemNotFound = newProblem(http.StatusNotFound, "not-found",
		"Not found", "There is no such resource, or you may not see it.")
	problemMethodNotAllowed = newProblem(http.StatusMethodNotAllowed, "method-not-allowed",
		"Method not allowed", "The resource does not support this method.")
	problemSlowRequest = problem{
		Type: problemType + "request-timeout", Title: "Request timeout", Status: http.StatusRequestTimeout,
		Detail: "The body did not arrive in time.", closes: true,
	}
	problemTooLarge = problem{
		Type: problemType + "body-too-large", Title: "Body too large", Status: http.StatusRequestEntityTooLarge,
		Detail: "The body must not be larger than 64 KiB.", closes: true,
	}
	problemMediaType = newProblem(http.StatusUnsupportedMediaType, "unsupported-media-type",
		"Unsupported media type", "The body must be application/json in UTF-8, not compressed.")
	problemForeignForm = newProblem(http.StatusForbidden, "foreign-form",
		"Not from this console", "The request did not come from a page of this log-in. Please reload the page and try again.")
	problemTooManyAttempts = newProblem(http.StatusTooManyRequests, "too-many-attempts",
		"Too many attempts", "Too many wrong secrets came from this address. Please wait.")
	problemTooManyRequests = problem{
		Type: problemType + "too-many-requests", Title: "Too many requests", Status: http.StatusTooManyRequests,
		Detail: "You ask more often than is allowed. Please wait.", retryAfter: 1,
	}
	problemHeaders = problem{
		Type: problemType + "too-many-headers", Title: "Too many headers", Status: http.StatusRequestHeaderFieldsTooLarge,
		Detail: "The request has more than 100 header fields.", closes: true,
	}
	problemInternal = newProblem(http.StatusInternalServerError, "internal",
		"Internal error", "Something went wrong on our side.")
	problemAuthService = newProblem(http.StatusBadGateway, "auth-service-fault",
		"Auth service fault", "The auth service gave an answer that makes no sense.")
	problemAuthServiceAway = newProblem(http.StatusServiceUnavailable, "auth-service-unavailable",
		"Auth service unavailable", "The auth service does not answer. Please try again.")
	problemDatabaseAway = problem{
		Type: problemType + "unavailable", Title: "Unavailable", Status: http.StatusServiceUnavailable,
		Detail: "The service cannot reach its data at the moment. Please try again.", retryAfter: 2,
	}
	problemOverloaded = problem{
		Type: problemType + "overloaded", Title: "Overloaded", Status: http.StatusServiceUnavailable,
		Detail: "Too many requests are in progress. Please try again.", retryAfter: 1,
	}
	problemKeysAway = problem{
		Type: problemType + "keys-unavailable", Title: "Keys unavailable", Status: http.StatusServiceUnavailable,
		Detail: "The keys that tokens are verified with cannot be read at the moment. Please try again.", retryAfter: 2,
	}
)

// invalid says which parameters or members of the body were refused.
func invalid(faults ...fieldFault) problem {
	p := newProblem(http.StatusUnprocessableEntity, "invalid", "Invalid request", "Some values are missing or not valid.")
	p.Errors = faults
	return p
}

// unknownUsers names the users whom the auth service does not know.
func unknownUsers(ids []int64) problem {
	p := newProblem(http.StatusUnprocessableEntity, "unknown-users", "Unknown users", "Some of the users do not exist.")
	p.UserIDs = ids
	return p
}

// Error implements error.
func (p problem) Error() string {
	return p.Title
}

// statusClientGone is what the log and the metrics show for a client that went
// away before the answer; nobody receives it.
const statusClientGone = 499

// problemOf is the one map from errors to answers. Whatever it does not know
// comes from the database, and means that the database is in trouble.
func problemOf(ctx context.Context, err error) problem {
	var p problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, queries.ErrNotFound):
		return problemNotFound
	case context.Cause(ctx) != nil && errors.Is(err, context.Canceled):
		p = problemDatabaseAway
		p.Status = statusClientGone
		return p
	case queries.Classify(err) == queries.FaultData:
		return invalid()
	default:
		return problemDatabaseAway
	}
}

// logFailure logs what the answer hides.
func (s *Server) logFailure(r *http.Request, p problem, err error) {
	if p.Status >= http.StatusInternalServerError {
		x := exchangeOf(r.Context())
		s.log.LogAttrs(r.Context(), slog.LevelError, "request failed",
			slog.String("route", x.route), slog.String("request_id", x.id), slog.Any("err", err))
	}
}

// fail answers with the problem that err stands for, and logs what it hides.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(r.Context(), err)
	x := exchangeOf(r.Context())
	p.RequestID = x.id
	s.logFailure(r, p, err)
	body, _ := json.Marshal(p) // strings and numbers only
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Del("ETag")
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", challenge(r))
	}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	if p.closes {
		h.Set("Connection", "close")
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
}
