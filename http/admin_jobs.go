package http

import (
	"context"
	"net/http"

	"github.com/gorilla/mux"

	"chat-messaging/queries"
)

func (s *Server) adminListJobs(w http.ResponseWriter, r *http.Request) error {
	p := newParameters(r.URL)
	before, _ := p.integer("before", 1, 1<<63-1)
	limit := p.limit(50, 1000)
	if err := p.err(); err != nil {
		return err
	}
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	jobs, next, err := s.cfg.DB.ListJobs(ctx, p.text("open") == "true", before, limit)
	if err != nil {
		return err
	}
	return respondAdmin(w, http.StatusOK, struct {
		Jobs []queries.Job `json:"jobs"`
		Next int64         `json:"next"`
	}{jobs, next})
}

// adminCreateJob begins a replay, a discard or a purge. The selection is in the
// filter language; bound and expected are those of a preview that was agreed to.
func (s *Server) adminCreateJob(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Kind        queries.JobKind `json:"kind"`
		Selection   string          `json:"selection"`
		Bound       int64           `json:"bound"`
		Expected    *int64          `json:"expected"`
		Rate        int             `json:"rate"`
		MaxAttempts int             `json:"max_attempts"`
		Force       bool            `json:"force"`
		Reason      string          `json:"reason"`
	}
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	f, err := queries.ParsePoisonFilterText(body.Selection, s.cfg.Now())
	if err != nil {
		return asProblem(err)
	}
	ctx, cancel := atLength(r)
	defer cancel()
	job, err := s.cfg.DB.CreateJob(ctx, queries.NewJob{
		Kind: body.Kind, Filter: f, Bound: body.Bound, Expected: body.Expected, Rate: body.Rate, MaxAttempts: body.MaxAttempts,
		Forced: body.Force, Reason: body.Reason, By: byREST(r),
	})
	if err != nil {
		return asProblem(err)
	}
	return respondAdmin(w, http.StatusCreated, job)
}

func (s *Server) adminShowJob(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	job, err := s.cfg.DB.Job(ctx, entryID(r))
	if err != nil {
		return err
	}
	return respondAdmin(w, http.StatusOK, job)
}

func (s *Server) adminSteerJob(w http.ResponseWriter, r *http.Request) error {
	steer := map[string]func(context.Context, int64, queries.Operator) (*queries.Job, error){
		"pause": s.cfg.DB.PauseJob, "resume": s.cfg.DB.ResumeJob, "cancel": s.cfg.DB.CancelJob,
	}[mux.Vars(r)["verb"]]
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	job, err := steer(ctx, entryID(r), byREST(r))
	if err != nil {
		return asProblem(err)
	}
	return respondAdmin(w, http.StatusOK, job)
}

func (s *Server) adminListAudit(w http.ResponseWriter, r *http.Request) error {
	p := newParameters(r.URL)
	f := queries.AuditFilter{Who: p.text("who"), Action: p.text("action"), Limit: p.limit(50, 1000)}
	f.Before, _ = p.integer("before", 1, 1<<63-1)
	f.JobID, _ = p.integer("job", 1, 1<<63-1)
	if err := p.err(); err != nil {
		return err
	}
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	records, next, err := s.cfg.DB.ListAudit(ctx, f)
	if err != nil {
		return err
	}
	return respondAdmin(w, http.StatusOK, struct {
		Records []queries.AuditRecord `json:"records"`
		Next    int64                 `json:"next"`
	}{records, next})
}
