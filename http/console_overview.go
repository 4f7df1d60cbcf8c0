package http

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// overview is what the first page shows.
type overview struct {
	Condition condition
	Status    Status
	Flows     []flow
	// Waiting is how many poisoned messages wait for a decision.
	Waiting int64
	Leader  string
	Checks  []shownCheck
	// Fault is why pausing or resuming was refused.
	Fault string
}

// condition is the one glance.
type condition struct {
	// Class is good, warn or bad.
	Class, Title string
	Reasons      []string
}

type shownCheck struct {
	Name, Status, Class, Reason string
	Since                       time.Time
}

// statusFresh is how old a status may be that a page shows: many open pages ask
// no more often than one.
const statusFresh = time.Second

// statusCache is safe for concurrent use.
type statusCache struct {
	mu     sync.Mutex
	read   time.Time
	status Status
}

func (s *Server) cachedStatus(ctx context.Context) Status {
	c := &s.console.status
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.read) > statusFresh {
		// Others wait for the answer too, so it does not end with who asked first.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DatabaseTimeout)
		defer cancel()
		c.status, c.read = ReadStatus(ctx, s.statusSource()), time.Now()
	}
	return c.status
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
func (s *Server) readOverview(ctx context.Context) overview {
	o := overview{Status: s.cachedStatus(ctx), Flows: s.console.flows.read(), Checks: shownChecks(s.checks.read())}
	for _, group := range o.Status.Poisoned {
		o.Waiting += group.Entries
	}
	for _, i := range o.Status.Instances {
		if o.Status.Leader != nil && i.ID == *o.Status.Leader {
			o.Leader = i.name()
		}
	}
	o.Condition = judged(o.Status)
	return o
}

// judged is the status in one glance. A pause is no fault, but nobody may
// overlook it.
func judged(s Status) condition {
	c := condition{Class: "good", Title: "Healthy", Reasons: s.Notes}
	switch {
	case !s.Healthy:
		c.Class, c.Title, c.Reasons = "bad", "Not healthy", slices.Concat(s.Reasons, s.Notes)
	case s.Consumption != nil && s.Consumption.Paused:
		c.Class, c.Title = "warn", "Paused"
	}
	return c
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
		for _, text := range []*string{state.Reason, state.Detail} {
			if text != nil {
				shown.Reason = *text
				break
			}
		}
		list = append(list, shown)
	}
	return list
}

// changeConsumption pauses or resumes, by the last word of its path.
func (s *Server) changeConsumption(w http.ResponseWriter, r *http.Request) error {
	paused := strings.HasSuffix(r.URL.Path, "/pause")
	reason := strings.TrimSpace(r.PostForm.Get("reason"))
	fault := ""
	switch {
	case paused && reason == "":
		fault = "A pause needs a reason."
	case utf8.RuneCountInString(reason) > MaxReasonChars || strings.ContainsRune(reason, 0):
		fault = fmt.Sprintf("The reason must be a text of at most %d characters.", MaxReasonChars)
	}
	if fault != "" {
		o := s.readOverview(r.Context())
		o.Fault = fault
		return s.showAs(w, r, http.StatusUnprocessableEntity, "overview", "Overview", "overview", o)
	}
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	if _, _, err := s.cfg.DB.SetConsumption(ctx, s.cfg.InputQueue, paused, actor(r), reason); err != nil {
		return err
	}
	s.console.status.forget()
	redirect(w, pathConsole+"/")
	return nil
}

// forget makes the next page show what was just changed.
func (c *statusCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = time.Time{}
}
