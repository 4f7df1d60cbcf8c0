package http

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"chat-messaging/queries"
)

// statusSource is what this server's configuration makes of a StatusSource.
func (s *Server) statusSource() StatusSource {
	return StatusSource{DB: s.cfg.DB, InputQueue: s.cfg.InputQueue, Queues: s.cfg.Queues}
}

// getStatus answers 200 also where the service is not healthy: that it could
// answer at all is another question, which /readyz is for.
func (s *Server) getStatus(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	return respondAdmin(w, http.StatusOK, ReadStatus(ctx, s.statusSource()))
}

// byREST is the operator who asks, as the audit knows them.
func byREST(r *http.Request) queries.Operator {
	return queries.Operator{Who: operatorOf(r.Context()).name, Via: "rest"}
}

func (s *Server) getConsumption(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	c, err := s.cfg.DB.Consumption(ctx, s.cfg.InputQueue)
	if err != nil {
		return err
	}
	return respondAdmin(w, http.StatusOK, NewConsumption(c))
}

// MaxReasonChars bounds why an operator did something.
const MaxReasonChars = 500

// putConsumption pauses or resumes. Doing so twice is doing it once.
func (s *Server) putConsumption(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Paused *bool   `json:"paused"`
		Reason *string `json:"reason"`
	}
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	var faults []fieldFault
	if body.Paused == nil {
		faults = append(faults, fieldFault{"paused", "must be true or false"})
	}
	reason := ""
	if body.Reason != nil {
		reason = strings.TrimSpace(*body.Reason)
	}
	if body.Paused != nil && *body.Paused && reason == "" {
		faults = append(faults, fieldFault{"reason", "must say why"})
	}
	if utf8.RuneCountInString(reason) > MaxReasonChars || strings.ContainsRune(reason, 0) {
		faults = append(faults, fieldFault{"reason", "must be a text of at most 500 characters"})
	}
	if len(faults) > 0 {
		return invalid(faults...)
	}
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	c, _, err := s.cfg.DB.SetConsumption(ctx, s.cfg.InputQueue, *body.Paused, byREST(r), reason)
	if err != nil {
		return err
	}
	return respondAdmin(w, http.StatusOK, NewConsumption(c))
}
