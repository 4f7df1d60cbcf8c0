package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"chat-messaging/pipeline"
	"chat-messaging/pipeline/poison"
	"chat-messaging/queries"
)

// follow shows a job's progress until it is over. Where no service works on jobs
// this process does: a worker of its own stands by for the lead. Ctrl-C pauses the
// job, because whoever presses it has seen enough.
func (p *poisonTool) follow(cmd *cobra.Command, cfg Config, db *queries.DB, job *queries.Job, out printer) error {
	ctx := cmd.Context()
	stop, err := workMeanwhile(ctx, cmd, cfg, db)
	if err != nil {
		return err
	}
	defer stop()
	shown := newProgress(cmd.ErrOrStderr(), job)
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for job.State == queries.JobRunning {
		select {
		case <-ctx.Done():
			stop()
			return p.interrupt(ctx, cmd, db, job.ID)
		case <-ticker.C:
		}
		now, err := db.Job(ctx, job.ID)
		if err != nil {
			if ctx.Err() == nil {
				shown.note("the database does not answer: " + err.Error())
			}
			continue
		}
		job = now
		shown.show(job)
	}
	shown.end()
	return errors.Join(printJobs(cmd, out, []queries.Job{*job}), outcomeOf(job))
}

// workMeanwhile runs a worker until stop is called.
func workMeanwhile(ctx context.Context, cmd *cobra.Command, cfg Config, db *queries.DB) (stop func(), err error) {
	logger := newLogger(cmd.ErrOrStderr(), "error", "text")
	conn, err := pipeline.NewConnection(string(cfg.RabbitMQURL), program+" poison", logger)
	if err != nil {
		return nil, err
	}
	worker, err := poison.NewWorker(poison.WorkerConfig{DB: db, Connection: conn, Keep: cfg.PoisonRetention, Logger: logger})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	var working sync.WaitGroup
	working.Go(func() { worker.Run(ctx) })
	return sync.OnceFunc(func() {
		cancel()
		working.Wait()
		_ = conn.Close()
	}), nil
}

func (p *poisonTool) interrupt(ctx context.Context, cmd *cobra.Command, db *queries.DB, id int64) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	job, err := db.PauseJob(limited, id, p.operator())
	switch {
	case errors.Is(err, queries.ErrJobState):
		return errors.New("interrupted, but the job was over by then")
	case err != nil:
		return fmt.Errorf("interrupted, and job %d could not be paused: %w", id, err)
	}
	return fmt.Errorf("interrupted: job %d is paused with %d of %d done; \"%s poison jobs resume %d\" goes on, \"cancel\" ends it",
		job.ID, job.Done, job.Expected, cmd.Root().Name(), job.ID)
}

// outcomeOf makes the exit code of a job.
func outcomeOf(job *queries.Job) error {
	switch {
	case job.State == queries.JobPaused:
		return exitError{code: exitPartly, message: fmt.Sprintf("job %d was paused by somebody", job.ID)}
	case job.Done == 0:
		return exitError{code: exitFailed, message: fmt.Sprintf("job %d is %s, and nothing was done", job.ID, job.State)}
	case job.State != queries.JobDone || job.Done < job.Expected:
		return exitError{code: exitPartly, message: fmt.Sprintf("job %d is %s: %d of %d were done, %d failed", job.ID, job.State, job.Done, job.Expected, job.Failed)}
	default:
		return nil
	}
}

// progress tells of a job: a bar on a terminal, lines elsewhere.
type progress struct {
	out  io.Writer
	bar  *progressbar.ProgressBar
	last time.Time
	said string
}

// lineInterval is how often a line is written where there is no bar.
const lineInterval = 2 * time.Second

func newProgress(out io.Writer, job *queries.Job) *progress {
	p := &progress{out: out, last: time.Now()}
	if onTerminal(out) {
		p.bar = progressbar.NewOptions64(job.Expected,
			progressbar.OptionSetWriter(out), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
			progressbar.OptionSetDescription(fmt.Sprintf("job %d", job.ID)), progressbar.OptionClearOnFinish())
	}
	p.show(job)
	return p
}

func (p *progress) show(job *queries.Job) {
	if p.bar != nil {
		_ = p.bar.Set64(job.Done + job.Failed)
	} else if time.Since(p.last) >= lineInterval {
		p.last = time.Now()
		_, _ = fmt.Fprintf(p.out, "job %d: %d of %d done, %d failed\n", job.ID, job.Done, job.Expected, job.Failed)
	}
	p.note(job.Error)
}

// note tells of trouble, once.
func (p *progress) note(trouble string) {
	if trouble == "" || trouble == p.said {
		return
	}
	p.said = trouble
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	_, _ = fmt.Fprintf(p.out, "waiting: %s\n", harmless(trouble))
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
