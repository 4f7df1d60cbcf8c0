package http

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"chat-messaging/queries"
)

// maxHeaderBytes is what net/http adds 4 KiB of slack to.
const maxHeaderBytes = 12 << 10

// Server serves the API. Life cycle: New, Listen, Serve, Shutdown.
type Server struct {
	cfg      Config
	log      *slog.Logger
	metrics  *metrics
	checks   *checks
	reader   *queries.Reader
	tokens   *verifier
	rates    *rates   // nil: no bound
	access   *access  // nil where there are no operators
	console  *console // nil together with access
	cursors  *cursorCodec
	auth     *authService
	docs     *docs
	server   *http.Server
	listener net.Listener
}

// New prepares a server. It opens nothing and starts nothing.
func New(c Config) (*Server, error) {
	c.setDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("invalid HTTP config: %w", err)
	}
	s := &Server{cfg: c, log: c.Logger}
	var err error
	if s.metrics, err = newMetrics(c.Metrics); err != nil {
		return nil, fmt.Errorf("registering the HTTP metrics: %w", err)
	}
	s.checks = newChecks(c, s.metrics)
	if c.API {
		if err := s.prepareAPI(); err != nil {
			return nil, fmt.Errorf("invalid HTTP config: %w", err)
		}
	}
	s.server = &http.Server{
		Handler:           s.edge(s.routes()),
		ReadHeaderTimeout: c.HeaderTimeout,
		ReadTimeout:       c.ReadTimeout,
		WriteTimeout:      c.WriteTimeout,
		IdleTimeout:       c.IdleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnContext:       withConn,
		ConnState:         newConnections(c.MaxConnections).track,
		ErrorLog:          slog.NewLogLogger(c.Logger.Handler(), slog.LevelDebug),
	}
	return s, nil
}

func (s *Server) prepareAPI() error {
	tokens, err := newVerifier(s.cfg)
	if err != nil {
		return err
	}
	cursors, err := newCursorCodec(s.cfg)
	if err != nil {
		return err
	}
	if s.docs, err = newDocs(); err != nil {
		return err
	}
	s.tokens, s.cursors, s.rates = tokens, cursors, newRates(s.cfg.RateLimit)
	if s.access, err = newAccess(s.cfg, tokens); err != nil {
		return err
	}
	if s.access != nil {
		if s.console, err = newConsole(s.cfg); err != nil {
			return err
		}
	}
	s.reader = queries.NewReader(s.cfg.DB)
	s.auth = newAuthService(s.cfg, s.metrics)
	return nil
}

// Listen binds the address and starts the readiness checks. Afterwards Addr and
// URL are known.
func (s *Server) Listen() error {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", s.cfg.Addr)
	if err != nil {
		return fmt.Errorf("listening for HTTP: %w", err)
	}
	if s.tokens != nil {
		if err := s.tokens.start(); err != nil {
			_ = listener.Close()
			return err
		}
	}
	s.listener = listener
	s.checks.start()
	if s.console != nil {
		s.console.start()
	}
	return nil
}

// Addr is the address that the server is bound to; empty before Listen.
func (s *Server) Addr() string {
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// URL is where a client on this machine finds the server; empty before Listen.
func (s *Server) URL() string {
	if s.listener == nil {
		return ""
	}
	host, port, _ := net.SplitHostPort(s.Addr())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Serve answers requests until Shutdown, and then returns nil. Listen comes first.
func (s *Server) Serve() error {
	if s.listener == nil {
		return fmt.Errorf("serving HTTP: Listen was not called")
	}
	if err := s.server.Serve(corkedListener{s.listener}); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving HTTP: %w", err)
	}
	return nil
}

// Shutdown lets requests in progress finish until ctx ends, then cuts them off.
// It is safe to call twice, and before Listen and Serve.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.console != nil {
		s.console.stop() // first: its live pages would never be finished
	}
	err := s.server.Shutdown(ctx)
	if err != nil {
		_ = s.server.Close()
		err = fmt.Errorf("shutting HTTP down: %w", err)
	}
	if s.listener != nil {
		// Only Serve hands the listener to net/http.
		_ = s.listener.Close()
	}
	s.checks.stop()
	if s.tokens != nil {
		s.tokens.stop()
	}
	if s.auth != nil {
		s.auth.close()
	}
	if s.reader != nil {
		s.reader.Close()
	}
	return err
}

// registered is a metric that a registry holds already, or now.
func registered[C prometheus.Collector](registry prometheus.Registerer, collector C) (C, error) {
	err := registry.Register(collector)
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing, nil
		}
	}
	return collector, err
}
