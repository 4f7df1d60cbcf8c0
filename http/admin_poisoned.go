package http

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"chat-messaging/queries"
)

// filterOf reads the filter out of the parameters, which have the names of its
// fields.
func (s *Server) filterOf(r *http.Request) (queries.PoisonFilter, error) {
	given, fields := r.URL.Query(), map[string][]string{}
	for _, field := range queries.PoisonFilterFields {
		if values, ok := given[field]; ok {
			fields[field] = values
		}
	}
	f, err := queries.ParsePoisonFilter(fields, s.cfg.Now())
	if err != nil {
		return f, asProblem(err)
	}
	return f, nil
}

// adminProblem is asProblem with what only entries can refuse.
func adminProblem(err error) error {
	switch {
	case errors.Is(err, queries.ErrNotWaiting):
		return newProblem(http.StatusConflict, "conflict", "Not done", "The message is not waiting any more: it was replayed or discarded, or is being replayed.")
	case errors.Is(err, queries.ErrTooLong):
		return problemTooLarge
	default:
		return asProblem(err)
	}
}

// atLength bounds what may have to look at every entry.
func atLength(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), consolePatience)
}

func (s *Server) adminListPoisoned(w http.ResponseWriter, r *http.Request) error {
	f, err := s.filterOf(r)
	if err != nil {
		return err
	}
	p := newParameters(r.URL)
	before, _ := p.integer("before", 1, 1<<63-1)
	if err := p.err(); err != nil {
		return err
	}
	ctx, cancel := atLength(r)
	defer cancel()
	page, err := s.cfg.DB.ListPoisoned(ctx, f, before)
	if err != nil {
		return err
	}
	return respondAdmin(w, http.StatusOK, struct {
		Entries []queries.Poisoned `json:"entries"`
		Next    int64              `json:"next"`
	}{page.Entries, page.Next})
}

func (s *Server) adminPoisonGroups(w http.ResponseWriter, r *http.Request) error {
	f, err := s.filterOf(r)
	if err != nil {
		return err
	}
	ctx, cancel := atLength(r)
	defer cancel()
	groups, err := s.cfg.DB.PoisonGroups(ctx, f)
	if err != nil {
		return err
	}
	return respondAdmin(w, http.StatusOK, struct {
		Groups []queries.PoisonGroup `json:"groups"`
	}{groups})
}

// adminShowPoisoned shows what somebody has written, which the audit remembers.
func (s *Server) adminShowPoisoned(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	m, history, err := s.cfg.DB.PoisonedMessage(ctx, entryID(r))
	if err != nil {
		return err
	}
	selection, err := json.Marshal(queries.PoisonFilter{IDs: []int64{m.ID}})
	if err != nil {
		return err
	}
	by := byREST(r)
	if err := s.cfg.DB.RecordAudit(ctx, queries.AuditRecord{
		Who: by.Who, Via: by.Via, Action: "poison.show", Selection: selection, Affected: 1, Result: queries.AuditDone,
	}); err != nil {
		return err
	}
	return respondAdmin(w, http.StatusOK, struct {
		Message    *queries.PoisonedMessage `json:"message"`
		History    []queries.PoisonAttempt  `json:"history"`
		Validation Verdict                  `json:"validation"`
	}{m, history, s.inspect(m)})
}

func (s *Server) adminEditPoisoned(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Body       *string `json:"body"`
		BodyBase64 []byte  `json:"body_base64"`
	}
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	if (body.Body == nil) == (body.BodyBase64 == nil) {
		return invalid(fieldFault{"body", "either body or body_base64 must be given"})
	}
	text := body.BodyBase64
	if body.Body != nil {
		text = []byte(*body.Body)
	}
	return s.changePoisoned(w, r, func(ctx context.Context, id int64) error {
		return s.cfg.DB.EditPoisoned(ctx, id, text, byREST(r))
	})
}

func (s *Server) adminRevertPoisoned(w http.ResponseWriter, r *http.Request) error {
	return s.changePoisoned(w, r, func(ctx context.Context, id int64) error {
		return s.cfg.DB.RevertPoisoned(ctx, id, byREST(r))
	})
}

func (s *Server) changePoisoned(w http.ResponseWriter, r *http.Request, change func(context.Context, int64) error) error {
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	if err := change(ctx, entryID(r)); err != nil {
		return adminProblem(err)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) adminPreviewPoison(w http.ResponseWriter, r *http.Request) error {
	f, err := s.filterOf(r)
	if err != nil {
		return err
	}
	p := newParameters(r.URL)
	kind := queries.JobKind(p.text("kind"))
	if kind != queries.JobReplay && kind != queries.JobDiscard && kind != queries.JobPurge {
		p.fault("kind", "must be replay, discard or purge")
	}
	most, _ := p.integer("max_attempts", 1, 1<<30)
	if err := p.err(); err != nil {
		return err
	}
	ctx, cancel := atLength(r)
	defer cancel()
	preview, err := s.cfg.DB.PreviewPoison(ctx, kind, f, int(most), p.text("force") == "true")
	if err != nil {
		return err
	}
	return respondAdmin(w, http.StatusOK, preview)
}
