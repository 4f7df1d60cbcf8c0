package http

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"chat-messaging/queries"
)

// Policy decides what a user may do. It is safe for concurrent use.
type Policy interface {
	// Decide tells whether user may do action, and which policy said so. members
	// are those of the chat concerned, other is another user concerned, or 0.
	Decide(action string, user int64, members []int64, other int64) (permit bool, policyID string)
}

// Config is what a Server needs. Without API it serves only health and metrics,
// and of the rest needs nothing.
type Config struct {
	// Addr to listen on. Default :8002; port 0 takes a free one.
	Addr string
	// Logger is required.
	Logger *slog.Logger
	// Ready are the checks behind /readyz. None: ready as soon as it serves.
	Ready []Check
	// Metrics is the registry that /metrics shows and the server's own metrics
	// join. Default: one of its own.
	Metrics *prometheus.Registry

	// API turns the REST API on.
	API bool
	// DB is required with API.
	DB *queries.DB
	// Policy is required with API.
	Policy Policy
	// Algorithm that tokens are signed with. Default HS256.
	Algorithm string
	// Key verifies tokens: a secret for HS*, a public key in PEM for RS*, PS*,
	// ES* and EdDSA. Required with API unless JWKSURL is given.
	Key string
	// AllowShortKey accepts a secret of fewer than 32 bytes. Default: refused.
	AllowShortKey bool
	// JWKSURL is where to read the public keys instead. Default: none.
	JWKSURL string
	// AuthBackendURL is the auth service. Default http://auth_backend:8000.
	AuthBackendURL string
	// CORSOrigins may call the API from a browser. Default: only
	// http://localhost:3000; an empty list that is not nil: none.
	CORSOrigins []string
	// Operators may use the console and the calls under /admin. Default: nobody;
	// without RoleClaim too, neither exists.
	Operators []Operator
	// RoleClaim is the claim of a user's token that makes them an operator too, if
	// it is viewer or operator or a list that has one of them. Default: none does.
	RoleClaim string
	// InputQueue is the queue that operators pause, and Queues asks the broker for
	// it and the poison queue: see StatusSource. Required where there are operators.
	InputQueue string
	Queues     func(ctx context.Context) (input, poison Queue, err error)
	// Inspect tells what validation says of a body with that content encoding.
	// Required where there are operators. It must be safe for concurrent use.
	Inspect func(body []byte, contentEncoding string) Verdict
	// Settings and Versions are what the console shows of this process. They must
	// hold no secret. Default: none.
	Settings, Versions []Setting
	// EventID is the id of a stored message's event, and its key in the outbox. Required where there are
	// operators.
	EventID func(*queries.Message) (id string, key uuid.UUID, err error)
	// Now is the clock for tokens. Default time.Now.
	Now func() time.Time

	// MaxConcurrent bounds the API requests in progress; one more is answered
	// with 503. Default 256.
	MaxConcurrent int
	// RateLimit bounds the requests a second of one user; one more is answered
	// with 429. After a pause twice as many pass at once. Default 0: no bound.
	RateLimit int
	// MaxConnections bounds the open connections; one more ends the one that has
	// been idle longest. Default 4096.
	MaxConnections int
	// DatabaseTimeout bounds what a request waits for the database. Default 2 s.
	DatabaseTimeout time.Duration
	// AuthTimeout bounds one request to the auth service. Default 2 s.
	AuthTimeout time.Duration
	// AuthRetries is how many times a failed one is tried again. Default 2;
	// negative: never.
	AuthRetries int
	// AuthOpenFor is how long the auth service is left alone after it has failed
	// five times in a row. Default 5 s.
	AuthOpenFor time.Duration
	// CheckInterval is the pause between two runs of a readiness check. Default 2 s.
	CheckInterval time.Duration
	// CheckTimeout bounds one run. Default 2 s.
	CheckTimeout time.Duration
	// HeaderTimeout, ReadTimeout, WriteTimeout and IdleTimeout bound a
	// connection's phases. Default 5, 15, 30 and 60 s.
	HeaderTimeout, ReadTimeout, WriteTimeout, IdleTimeout time.Duration
}

const minKeyBytes = 32

func (c *Config) setDefaults() {
	setDefault(&c.Addr, ":8002")
	setDefault(&c.Algorithm, "HS256")
	setDefault(&c.AuthBackendURL, "http://auth_backend:8000")
	setDefault(&c.MaxConcurrent, 256)
	setDefault(&c.MaxConnections, 4096)
	setDefault(&c.DatabaseTimeout, 2*time.Second)
	setDefault(&c.AuthTimeout, 2*time.Second)
	setDefault(&c.AuthRetries, 2)
	setDefault(&c.AuthOpenFor, 5*time.Second)
	setDefault(&c.CheckInterval, 2*time.Second)
	setDefault(&c.CheckTimeout, 2*time.Second)
	setDefault(&c.HeaderTimeout, 5*time.Second)
	setDefault(&c.ReadTimeout, 15*time.Second)
	setDefault(&c.WriteTimeout, 30*time.Second)
	setDefault(&c.IdleTimeout, 60*time.Second)
	if c.CORSOrigins == nil {
		c.CORSOrigins = []string{"http://localhost:3000"}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate reports every fault at once. Keys are looked at where they are loaded.
func (c *Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(format, args...))
	}
	if c.Logger == nil {
		fault("Logger is missing")
	}
	for _, check := range c.Ready {
		if check.Name == "" || check.Run == nil {
			fault("Ready holds a check without a name or a function")
		}
	}
	if c.API {
		if c.DB == nil {
			fault("DB is missing")
		}
		if c.Policy == nil {
			fault("Policy is missing")
		}
		if !isBaseURL(c.AuthBackendURL) {
			fault("AUTH_BACKEND_URL must be an http or https URL")
		}
		if c.JWKSURL != "" && !isBaseURL(c.JWKSURL) {
			fault("JWKS_URL must be an http or https URL")
		}
		for _, origin := range c.CORSOrigins {
			if !isOrigin(origin) {
				fault("CORS origin %q must be scheme://host or scheme://host:port, in lower case", origin)
			}
		}
		c.validateOperators(fault)
	}
	return errors.Join(faults...)
}

func (c *Config) validateOperators(fault func(format string, args ...any)) {
	if len(c.Operators) > 0 || c.RoleClaim != "" {
		if c.InputQueue == "" {
			fault("InputQueue is missing")
		}
		if c.Queues == nil {
			fault("Queues is missing")
		}
		if c.Inspect == nil {
			fault("Inspect is missing")
		}
		if c.EventID == nil {
			fault("EventID is missing")
		}
	}
	names, secrets := map[string]bool{}, map[string]bool{}
	for _, o := range c.Operators {
		switch {
		case o.Name == "" || names[o.Name]:
			fault("operator %q has no name of their own", o.Name)
		case !o.Role.includes(RoleViewer):
			fault("operator %s is neither %s nor %s", o.Name, RoleViewer, RoleOperator)
		case len(o.Secret) < minSecretChars || !isBearerText(o.Secret) || secrets[o.Secret]:
			fault("the secret of operator %s must be %d or more letters, digits, -, _ and ., and nobody else's", o.Name, minSecretChars)
		}
		names[o.Name], secrets[o.Secret] = true, true
	}
	switch c.RoleClaim {
	case "user_id", "exp", "nbf", "iat":
		fault("RoleClaim is %s, which means something else", c.RoleClaim)
	}
}

func isBaseURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// isOrigin is strict because an origin is compared letter by letter: one that no
// browser sends would be a setting that does nothing.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme != "" && u.Host != "" && text == u.Scheme+"://"+u.Host && text == strings.ToLower(text)
}
