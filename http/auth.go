package http

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// leeway is what the clocks of the auth service and of this service may differ by.
const leeway = 30 * time.Second

// verifier turns a bearer token into its holder. One algorithm is accepted, the
// configured one, whatever a token says of itself; of its header nothing is
// followed. It is safe for concurrent use.
type verifier struct {
	parser *jwt.Parser
	keys   keySource
	now    func() time.Time
	known  *tokenCache
	// roleClaim is the name of the claim that makes a user an operator.
	roleClaim string
}

// holder is whom a token stands for. The role is "" for all but operators.
type holder struct {
	user    int64
	role    Role
	expires time.Time
}

// keySource finds the key of a token.
type keySource interface {
	key(ctx context.Context, token *jwt.Token) (any, error)
	start() error
	stop()
}

func newVerifier(c Config) (*verifier, error) {
	keys, err := newKeySource(c)
	if err != nil {
		return nil, err
	}
	return &verifier{keys: keys, now: c.Now, known: newTokenCache(), roleClaim: c.RoleClaim, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{c.Algorithm}),
		jwt.WithStrictDecoding(),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(leeway),
		jwt.WithTimeFunc(c.Now),
	)}, nil
}

func (v *verifier) start() error { return v.keys.start() }
func (v *verifier) stop()        { v.keys.stop() }

// holder returns whom the token stands for.
func (v *verifier) holder(ctx context.Context, token string) (holder, error) {
	now := v.now()
	if known, ok := v.known.find(token, now); ok {
		return known, nil
	}
	c := claims{roleClaim: v.roleClaim}
	_, err := v.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		if _, ok := t.Header["crit"]; ok {
			return nil, errors.New("the token has extensions that must be understood")
		}
		return v.keys.key(ctx, t)
	})
	switch {
	case errors.Is(err, errKeysAway):
		return holder{}, fmt.Errorf("%w: %w", problemKeysAway, err)
	case err != nil:
		return holder{}, fmt.Errorf("%w: %w", problemUnauthenticated, err)
	}
	h := holder{user: c.userID, role: c.role, expires: c.expires.Add(leeway)}
	v.known.keep(token, h, now, h.expires)
	return h, nil
}

// authenticated lets only requests with a valid token through.
func (s *Server) authenticated(next endpoint) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		token, ok := bearer(r)
		if !ok {
			return problemUnauthenticated
		}
		holder, err := s.tokens.holder(r.Context(), token)
		if err != nil {
			return err
		}
		exchangeOf(r.Context()).user = holder.user
		h := w.Header()
		h["Cache-Control"] = []string{"private, no-cache"}
		h["Vary"] = []string{"Origin, Authorization"}
		if !s.rates.allow(holder.user, s.cfg.Now()) {
			return problemTooManyRequests
		}
		return next(w, r)
	}
}

// bearer reads the one Authorization header. The token's alphabet leaves no room
// for a list or a second space.
func bearer(r *http.Request) (string, bool) {
	given := r.Header["Authorization"]
	if len(given) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(given[0], " ")
	if !ok || !strings.EqualFold(scheme, "bearer") || token == "" || !isBearerText(token) {
		return "", false
	}
	return token, true
}

func isBearerText(token string) bool {
	for _, c := range []byte(token) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

// challenge is the WWW-Authenticate header of a refusal.
func challenge(r *http.Request) string {
	if len(r.Header["Authorization"]) == 0 {
		return `Bearer realm="chat-messaging"`
	}
	return `Bearer realm="chat-messaging", error="invalid_token"`
}

// The actions that the policy knows.
const (
	actionRead          = "read"
	actionCreateChat    = "create_chat"
	actionUpdateProfile = "update_profile"
)

// permitted asks the policy, and logs a denial with the policy that decided.
func (s *Server) permitted(r *http.Request, action string, members []int64, other int64) bool {
	x := exchangeOf(r.Context())
	permit, policyID := s.cfg.Policy.Decide(action, x.user, members, other)
	if !permit {
		s.log.LogAttrs(r.Context(), slog.LevelInfo, "access denied", slog.String("action", action),
			slog.Int64("user_id", x.user), slog.String("policy", policyID), slog.String("request_id", x.id))
	}
	return permit
}
