package http

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"
)

// overview is what the first page shows.
type overview struct {
	Health condition
	Rates  []flow
	Checks []shownCheck
}

// condition is the one glance.
type condition struct {
	// Class is good, warn or bad.
	Class, Title, Summary string
	Reasons               []healthReason
}

type healthReason struct {
	Text  string
	Since time.Time
}

type shownCheck struct {
	Name, Status, Class, Reason string
	Since                       time.Time
}

func (s *Server) showOverview(w http.ResponseWriter, r *http.Request) error {
	return s.show(w, r, "overview", "Overview", "overview", s.readOverview(r.Context()))
}

func (s *Server) streamOverview(w http.ResponseWriter, r *http.Request) error {
	return s.stream(w, r, func(ctx context.Context) ([]byte, error) {
		return s.render(r, "overview", "live", "", "", s.readOverview(ctx))
	})
}

// readOverview never fails: where something cannot be read, that is what the page
// is there to show.
func (s *Server) readOverview(_ context.Context) overview {
	o := overview{Rates: s.console.flows.read(), Checks: shownChecks(s.checks.read())}
	o.Health = judge(o.Checks)
	return o
}

func shownChecks(answer readiness) []shownCheck {
	var list []shownCheck
	for _, name := range slices.Sorted(maps.Keys(answer.Checks)) {
		state := answer.Checks[name]
		shown := shownCheck{Name: name, Status: state.Status, Class: "good"}
		shown.Since, _ = time.Parse(timestampLayout, state.Since)
		if state.Status != statusUp {
			shown.Class = "bad"
		}
		if state.Reason != nil {
			shown.Reason = *state.Reason
		}
		list = append(list, shown)
	}
	return list
}

// judge says whether the service is healthy, and if not, why.
func judge(checks []shownCheck) condition {
	h := condition{Class: "good", Title: "Healthy", Summary: "Every check passes."}
	for _, check := range checks {
		switch check.Status {
		case statusDown:
			h.Class, h.Title = "bad", "Not healthy"
			h.Reasons = append(h.Reasons, healthReason{check.Name + ": " + check.Reason, check.Since})
		case statusUnknown:
			if h.Class == "good" {
				h.Class, h.Title = "warn", "Not known yet"
			}
			h.Reasons = append(h.Reasons, healthReason{check.Name + ": has not been checked yet", check.Since})
		}
	}
	return h
}
