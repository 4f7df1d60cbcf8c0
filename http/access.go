package http

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// Role is what an operator may do.
type Role string

const (
	// RoleViewer may look at everything and change nothing.
	RoleViewer Role = "viewer"
	// RoleOperator may do everything.
	RoleOperator Role = "operator"
)

// includes tells whether whoever has role r may do what asks for the other role.
// No role is included in nothing, so that a forgotten one refuses.
func (r Role) includes(other Role) bool {
	switch r {
	case RoleOperator:
		return other == RoleOperator || other == RoleViewer
	case RoleViewer:
		return other == RoleViewer
	default:
		return false
	}
}

// Operator is somebody who may use the console and the calls under /admin.
type Operator struct {
	// Name is how the audit knows them.
	Name string
	Role Role
	// Secret is what they prove it with, at least 16 characters.
	Secret string
}

const minSecretChars = 16

// caller is the operator who asks.
type caller struct {
	// name is the operator's name, or "user 42" for who has the role by a claim.
	name string
	role Role
	// until is when the proof expires; zero: never.
	until time.Time
}

// operatorOf returns the operator who asks, for the audit. Only the routes for
// operators have one.
func operatorOf(ctx context.Context) caller {
	return exchangeOf(ctx).operator
}

// access knows who is an operator. It is safe for concurrent use.
type access struct {
	operators []knownOperator
	tokens    *verifier
	failures  *failures
	sessions  *sessionCodec
	origin    *http.CrossOriginProtection
}

// knownOperator holds the hash of a secret only: hashes have one length, so that
// comparing them tells nothing.
type knownOperator struct {
	name string
	role Role
	hash [sha256.Size]byte
}

// newAccess returns nil if nobody is an operator: then none of the routes exists.
func newAccess(c Config, tokens *verifier) (*access, error) {
	if len(c.Operators) == 0 && c.RoleClaim == "" {
		return nil, nil //nolint:nilnil // nil is what "off" is
	}
	sessions, err := newSessionCodec(c)
	if err != nil {
		return nil, err
	}
	a := &access{tokens: tokens, failures: newFailures(c.Now), sessions: sessions, origin: http.NewCrossOriginProtection()}
	for _, o := range c.Operators {
		a.operators = append(a.operators, knownOperator{o.Name, o.Role, sha256.Sum256([]byte(o.Secret))})
	}
	return a, nil
}

var errWrongSecret = errors.New("the secret is nobody's")

// prove returns the operator whose secret it is: one of the configured ones, or a
// token of the auth service with the role in its claim.
func (a *access) prove(ctx context.Context, secret string) (caller, error) {
	given := sha256.Sum256([]byte(secret))
	var found *knownOperator
	for i := range a.operators { // all of them, so that the time tells nothing
		if subtle.ConstantTimeCompare(given[:], a.operators[i].hash[:]) == 1 {
			found = &a.operators[i]
		}
	}
	if found != nil {
		return caller{name: found.name, role: found.role}, nil
	}
	if a.tokens.roleClaim == "" {
		return caller{}, fmt.Errorf("%w: %w", problemUnauthenticated, errWrongSecret)
	}
	h, err := a.tokens.holder(ctx, secret)
	if err != nil {
		return caller{}, err
	}
	return caller{name: "user " + strconv.FormatInt(h.user, 10), role: h.role, until: h.expires}, nil
}

// attempt is prove for a request, which may be one guess of many.
func (s *Server) attempt(r *http.Request, secret string) (caller, error) {
	from := addressOf(r)
	if wait := s.access.failures.wait(from); wait > 0 {
		p := problemTooManyAttempts
		p.retryAfter = int(wait/time.Second) + 1
		return caller{}, p
	}
	who, err := s.access.prove(r.Context(), secret)
	if err != nil && problemOf(r.Context(), err).Status == http.StatusUnauthorized {
		s.access.failures.add(from)
		s.log.LogAttrs(r.Context(), slog.LevelWarn, "operator not recognised",
			slog.String("remote_address", from), slog.String("request_id", exchangeOf(r.Context()).id))
	}
	return who, err
}

// admin lets only operators of the role through who send their secret or token as
// a bearer. A session's cookie does not count here, so that no page of another
// site can make a browser act.
func (s *Server) admin(role Role, next endpoint) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		h := w.Header()
		h["Cache-Control"] = []string{"no-store"}
		secret, ok := bearer(r)
		if !ok {
			return problemUnauthenticated
		}
		who, err := s.attempt(r, secret)
		if err != nil {
			return err
		}
		return s.enter(w, r, who, role, next)
	}
}

// enter passes the request on if the operator's role suffices.
func (s *Server) enter(w http.ResponseWriter, r *http.Request, who caller, role Role, next endpoint) error {
	x := exchangeOf(r.Context())
	x.operator = who
	if !who.role.includes(role) {
		s.log.LogAttrs(r.Context(), slog.LevelInfo, "access denied", slog.String("action", x.route),
			slog.String("operator", who.name), slog.String("role", string(who.role)), slog.String("request_id", x.id))
		return problemForbidden
	}
	return next(w, r)
}
