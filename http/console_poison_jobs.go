package http

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/gorilla/mux"

	"chat-messaging/queries"
)

const pathJobs = pathConsole + "/jobs"

// previewPage is what is shown before something is done to many messages.
type previewPage struct {
	Kind        queries.JobKind
	Selection   string
	Preview     queries.PoisonPreview
	MaxAttempts int
	Forced      bool
	Back        string
}

// selectionOf is what a form of the list selects: the entries with a tick, or
// all that its filter matches.
func (s *Server) selectionOf(r *http.Request) (askedFilter, error) {
	if r.PostForm.Get("which") == "all" {
		return s.parseFilter(r.PostForm.Get("filter"))
	}
	ids := r.PostForm["id"]
	if len(ids) == 0 {
		return askedFilter{}, &queries.FilterError{Field: "id", Reason: "no message is selected"}
	}
	return s.parseFilter("id:" + strings.Join(ids, ","))
}

func (s *Server) previewPoison(w http.ResponseWriter, r *http.Request) error {
	asked, err := s.selectionOf(r)
	if err != nil {
		return asProblem(err)
	}
	kind := queries.JobKind(r.PostForm.Get("kind"))
	if kind != queries.JobReplay && kind != queries.JobDiscard {
		return problemBadRequest
	}
	page := previewPage{
		Kind: kind, MaxAttempts: queries.DefaultMaxAttempts, Forced: r.PostForm.Get("forced") != "", Back: s.listOf(r),
		// Written out, so that "2h" means the same when it is confirmed.
		Selection: asked.Filter.Waiting().String(),
	}
	ctx, cancel := context.WithTimeout(r.Context(), consoleLongest)
	defer cancel()
	if page.Preview, err = s.cfg.DB.PreviewPoison(ctx, kind, asked.Filter, 0, page.Forced); err != nil {
		return err
	}
	return s.show(w, r, "poison_preview", "Confirm", "poisoned", page)
}

// listOf is the address of the list that the form was on.
func (s *Server) listOf(r *http.Request) string {
	asked, err := s.parseFilter(r.PostForm.Get("filter"))
	if err != nil {
		return pathPoisoned
	}
	return asked.page("")
}

// createJob begins what the preview showed, and no more.
func (s *Server) createJob(w http.ResponseWriter, r *http.Request) error {
	form := r.PostForm
	asked, err := s.parseFilter(form.Get("filter"))
	if err != nil {
		return asProblem(err)
	}
	expected := positive(form.Get("expected"))
	rate, err := strconv.Atoi(form.Get("rate"))
	if form.Get("rate") != "" && (err != nil || rate < 0) {
		return invalid(fieldFault{"rate", "must be a number of messages a second, or 0"})
	}
	ctx, cancel := context.WithTimeout(r.Context(), consoleLongest)
	defer cancel()
	job, err := s.cfg.DB.CreateJob(ctx, queries.NewJob{
		Kind: queries.JobKind(form.Get("kind")), Filter: asked.Filter, Bound: positive(form.Get("bound")), Expected: &expected,
		Rate: rate, Forced: form.Get("forced") != "", Reason: strings.TrimSpace(form.Get("reason")), By: actor(r),
	})
	if err != nil {
		return asProblem(err)
	}
	redirect(w, jobPath(job.ID))
	return nil
}

func jobPath(id int64) string { return pathJobs + "/" + strconv.FormatInt(id, 10) }

// asProblem tells operators why what they want is not done.
func asProblem(err error) error {
	if fault, ok := errors.AsType[*queries.FilterError](err); ok {
		return invalid(fieldFault{fault.Field, fault.Reason})
	}
	for known, detail := range map[error]string{
		queries.ErrNothingMatches:   "None of these messages waits any more. Somebody may have been faster.",
		queries.ErrSelectionChanged: "There are more such messages by now than you have seen. Nothing was done; please look again.",
		queries.ErrJobState:         "The job has ended, or somebody else has changed it.",
	} {
		if errors.Is(err, known) {
			return newProblem(http.StatusConflict, "conflict", "Not done", detail)
		}
	}
	if errors.Is(err, queries.ErrInvalidJob) {
		return invalid(fieldFault{"job", err.Error()})
	}
	return err
}

// shownJob is a job with what its numbers mean.
type shownJob struct{ queries.Job }

// Settled is how many entries are dealt with, one way or another.
func (j shownJob) Settled() int64 { return min(j.Done+j.Failed+j.Missing(), j.Expected) }

// Missing is how many entries somebody else was faster with.
func (j shownJob) Missing() int64 {
	if j.State != queries.JobDone {
		return 0
	}
	return max(0, j.Expected-j.Done-j.Failed)
}

type jobPage struct{ Job shownJob }

func (s *Server) showJob(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	job, err := s.cfg.DB.Job(ctx, entryID(r))
	if err != nil {
		return err
	}
	return s.show(w, r, "job", fmt.Sprintf("%s %d", job.Kind, job.ID), "poisoned", jobPage{shownJob{*job}})
}

func (s *Server) streamJob(w http.ResponseWriter, r *http.Request) error {
	return s.stream(w, r, func(ctx context.Context) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, consolePatience)
		defer cancel()
		job, err := s.cfg.DB.Job(ctx, entryID(r))
		if err != nil {
			return nil, err
		}
		return s.render(r, "job", "job", "", "", jobPage{shownJob{*job}})
	})
}

func (s *Server) showJobs(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	jobs, next, err := s.cfg.DB.ListJobs(ctx, false, positive(r.URL.Query().Get("before")), 0)
	if err != nil {
		return err
	}
	page := struct {
		Jobs []queries.Job
		Next string
	}{Jobs: jobs}
	if next > 0 {
		page.Next = pathJobs + "?before=" + strconv.FormatInt(next, 10)
	}
	return s.show(w, r, "jobs", "Jobs", "poisoned", page)
}

// steerJob pauses, resumes or cancels a job.
func (s *Server) steerJob(w http.ResponseWriter, r *http.Request) error {
	steer := map[string]func(context.Context, int64, queries.Operator) (*queries.Job, error){
		"pause": s.cfg.DB.PauseJob, "resume": s.cfg.DB.ResumeJob, "cancel": s.cfg.DB.CancelJob,
	}[mux.Vars(r)["verb"]]
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	job, err := steer(ctx, entryID(r), actor(r))
	if err != nil {
		return asProblem(err)
	}
	redirect(w, jobPath(job.ID))
	return nil
}

// jobClass is how a job's state looks.
func jobClass(state queries.JobState) string {
	switch state {
	case queries.JobDone:
		return "good"
	case queries.JobFailed:
		return "bad"
	case queries.JobPaused:
		return "warn"
	default:
		return "plain"
	}
}
