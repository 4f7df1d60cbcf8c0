package http

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/alexliesenfeld/health"
)

// Check is one thing that must work for the service to be ready. Run returns
// the reason why it does not; operators see it, so it must hold no secret.
type Check struct {
	Name string
	Run  func(ctx context.Context) error
	// Detail is what an operator should know although the check passes. It may
	// return "". Default: nothing.
	Detail func() string
}

// checks runs every check at its own pace in the background, so that a probe only
// ever reads the last results: a database that swallows packets costs the check
// its timeout and the probe nothing.
type checks struct {
	checker health.Checker
	metrics *metrics

	details map[string]func() string

	mu     sync.Mutex
	states map[string]checkState
}

// checkState is how /readyz shows one check.
type checkState struct {
	Status string `json:"status"`
	// Reason is null while the check passes.
	Reason *string `json:"reason"`
	// Detail is null unless there is something to say.
	Detail *string `json:"detail"`
	// Since is when the status last changed.
	Since string `json:"since"`
}

const (
	statusUp      = "up"
	statusDown    = "down"
	statusUnknown = "unknown"
)

func newChecks(c Config, m *metrics) *checks {
	h := &checks{metrics: m, states: map[string]checkState{}, details: map[string]func() string{}}
	options := []health.CheckerOption{health.WithDisabledAutostart()}
	for _, check := range c.Ready {
		h.states[check.Name] = checkState{Status: statusUnknown, Since: stamp(time.Now())}
		m.ready.WithLabelValues(check.Name).Set(0)
		if check.Detail != nil {
			h.details[check.Name] = check.Detail
		}
		options = append(options, health.WithPeriodicCheck(c.CheckInterval, 0, health.Check{
			Name: check.Name, Timeout: c.CheckTimeout, Check: oneAtATime(check.Run),
			Interceptors: []health.Interceptor{h.record},
		}))
	}
	h.checker = health.NewChecker(options...)
	return h
}

// oneAtATime keeps a check that does not heed its context from piling up.
func oneAtATime(run func(context.Context) error) func(context.Context) error {
	var running sync.Mutex
	return func(ctx context.Context) error {
		if !running.TryLock() {
			return errors.New("the check does not return")
		}
		defer running.Unlock()
		return run(ctx)
	}
}

// record keeps the outcome of a run where probes read it.
func (h *checks) record(next health.InterceptorFunc) health.InterceptorFunc {
	return func(ctx context.Context, name string, state health.CheckState) health.CheckState {
		after := next(ctx, name, state)
		h.mu.Lock()
		defer h.mu.Unlock()
		now := h.states[name]
		was := now.Status
		now.Status, now.Reason = statusUp, nil
		passes := 1.0
		if after.Result != nil {
			reason := after.Result.Error()
			now.Status, now.Reason = statusDown, &reason
			passes = 0
		}
		if now.Status != was {
			now.Since = stamp(time.Now())
		}
		h.states[name] = now
		h.metrics.ready.WithLabelValues(name).Set(passes)
		return after
	}
}

func (h *checks) start() {
	if len(h.states) > 0 {
		h.checker.Start()
	}
}

func (h *checks) stop() {
	if h.checker.IsStarted() {
		h.checker.Stop()
	}
}

// readiness is the body of /readyz.
type readiness struct {
	Status string                `json:"status"`
	Checks map[string]checkState `json:"checks"`
}

func (h *checks) read() readiness {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := readiness{Status: "ok", Checks: map[string]checkState{}}
	for name, state := range h.states {
		if detail := h.details[name]; detail != nil {
			if text := detail(); text != "" {
				state.Detail = &text
			}
		}
		r.Checks[name] = state
		if state.Status != statusUp {
			r.Status = "unavailable"
		}
	}
	return r
}

// Problems are the reasons of the readiness checks that fail, by name.
func (s *Server) Problems() map[string]string {
	problems := map[string]string{}
	for name, state := range s.checks.read().Checks {
		if state.Reason != nil {
			problems[name] = *state.Reason
		}
	}
	return problems
}

// healthz says that the process lives, and nothing else: it must not be
// restarted because something that it needs is away.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) error {
	return respondProbe(w, http.StatusOK, []byte(`{"status":"ok"}`))
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) error {
	answer := s.checks.read()
	status := http.StatusOK
	if answer.Status != "ok" {
		status = http.StatusServiceUnavailable
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return respondProbe(w, status, body)
}

func respondProbe(w http.ResponseWriter, status int, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return nil
}

func stamp(t time.Time) string {
	return t.UTC().Format(timestampLayout)
}
