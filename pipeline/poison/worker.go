package poison

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"chat-messaging/pipeline"
	"chat-messaging/queries"
)

const (
	lockName = "chat-messaging poison worker"
	// sweepInterval is how often old records are looked for, sweepChunk how many go
	// in a transaction.
	sweepInterval = time.Minute
	sweepChunk    = 500
)

// WorkerConfig configures a Worker.
type WorkerConfig struct {
	// DB has the jobs. Required.
	DB *queries.DB
	// Connection to publish on. Required, and not to be shared with consumers.
	Connection *pipeline.Connection
	// Keep is how long the records of replayed and discarded messages are kept. 0
	// keeps them for ever.
	Keep time.Duration
	// Poll is how often jobs are looked for. Default 500 ms.
	Poll time.Duration
	// Metrics hear what is replayed. Default nobody.
	Metrics *Metrics
	// Logger is required.
	Logger *slog.Logger
}

func (c *WorkerConfig) validate() error {
	if c.Poll == 0 {
		c.Poll = 500 * time.Millisecond
	}
	var errs []error
	for name, missing := range map[string]bool{"DB": c.DB == nil, "Connection": c.Connection == nil, "Logger": c.Logger == nil} {
		if missing {
			errs = append(errs, fmt.Errorf("%s is required", name))
		}
	}
	return errors.Join(errs...)
}

// Worker does what jobs say. Of all workers of a schema one leads and the others
// stand by; which of them it is matters to nobody, because all that a job needs is
// in its row.
type Worker struct {
	cfg     WorkerConfig
	sender  *sender
	leading atomic.Bool
}

// NewWorker checks the configuration; nothing is connected before Run.
func NewWorker(cfg WorkerConfig) (*Worker, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("invalid worker config: %w", err)
	}
	return &Worker{cfg: cfg, sender: newSender(cfg.Connection, cfg.Logger)}, nil
}

// Leading tells whether this worker is the one that works.
func (w *Worker) Leading() bool { return w.leading.Load() }

// Run works until the context ends; a chunk that is under way gets a moment to be
// finished. What is left is the next worker's.
func (w *Worker) Run(ctx context.Context) {
	defer w.sender.close()
	for ctx.Err() == nil {
		lock, err := w.cfg.DB.TryLock(ctx, lockName)
		switch {
		case err != nil && ctx.Err() == nil:
			w.cfg.Logger.Debug("the worker of poisoned messages cannot ask for its lock", "err", err)
		case err == nil && lock != nil:
			w.lead(ctx, lock)
		}
		wait(ctx, w.cfg.Poll)
	}
}

// lead works for as long as the lock is held.
func (w *Worker) lead(ctx context.Context, lock *queries.Lock) {
	held := &heldLock{lock: lock}
	ctx, cancel := context.WithCancel(ctx)
	active := &activeJobs{ids: map[int64]struct{}{}}
	defer func() {
		// Before the lock is given back nobody may be sending any more.
		cancel()
		active.runs.Wait()
		w.leading.Store(false)
		lock.Close()
	}()
	w.leading.Store(true)
	w.cfg.Logger.Info("working on the jobs of poisoned messages")
	var swept time.Time
	for ctx.Err() == nil {
		if err := w.round(ctx, held, active); err != nil {
			if ctx.Err() == nil {
				w.cfg.Logger.Warn("the worker of poisoned messages gives up its lead", "err", err)
			}
			return
		}
		if w.cfg.Keep > 0 && time.Since(swept) > sweepInterval {
			swept = time.Now()
			w.sweep(ctx)
		}
		wait(ctx, w.cfg.Poll)
	}
}

// round starts what is to be worked on and is not yet, and frees what ended jobs
// hold.
func (w *Worker) round(ctx context.Context, lock *heldLock, active *activeJobs) error {
	if err := lock.check(ctx); err != nil {
		return err
	}
	jobs, err := w.cfg.DB.RunningJobs(ctx)
	if err != nil {
		return err
	}
	for _, job := range jobs {
		r := &run{db: w.cfg.DB, job: job, sender: w.sender, check: lock.check, metrics: w.cfg.Metrics, logger: w.cfg.Logger}
		active.start(job.ID, func() { r.work(ctx) })
	}
	return w.cfg.DB.ReleaseClaims(ctx, active.list())
}

// sweep deletes old records, a few at a time, so that nobody waits for it.
func (w *Worker) sweep(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := w.cfg.DB.DropSettled(ctx, w.cfg.Keep, sweepChunk)
		if err != nil {
			w.cfg.Logger.Warn("old records of poisoned messages could not be deleted", "err", err)
			return
		}
		if n > 0 {
			w.cfg.Logger.Info("deleted old records of poisoned messages", "records", n)
		}
		if n < sweepChunk {
			return
		}
	}
}

// heldLock lets several jobs ask whether the lock is still held: its session
// serves one at a time.
type heldLock struct {
	mu   sync.Mutex
	lock *queries.Lock
}

func (h *heldLock) check(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lock.Check(ctx)
}

// activeJobs are the jobs that have a goroutine.
type activeJobs struct {
	runs sync.WaitGroup
	mu   sync.Mutex
	ids  map[int64]struct{}
}

// start runs work unless the job has one running.
func (a *activeJobs) start(id int64, work func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, running := a.ids[id]; running {
		return
	}
	a.ids[id] = struct{}{}
	a.runs.Go(func() {
		defer func() {
			a.mu.Lock()
			delete(a.ids, id)
			a.mu.Unlock()
		}()
		work()
	})
}

func (a *activeJobs) list() []int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.ids))
}
