package poison

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"chat-messaging/pipeline"
	"chat-messaging/queries"
)

const (
	// maxChunk is the most messages that are claimed, and under way, at a time: what
	// a crash can send twice.
	maxChunk = 200
	// settleChunk is how many entries are discarded or purged in a transaction.
	settleChunk = 1000
	// stopGrace is what a chunk that is under way gets when the worker stops.
	stopGrace = 3 * time.Second
)

// run works one job off.
type run struct {
	db      *queries.DB
	job     queries.Job
	sender  *sender
	check   func(context.Context) error // whether we still lead
	metrics *Metrics
	logger  *slog.Logger
}

// work returns when the job is finished, or not to be worked on any more: paused,
// cancelled, or the context has ended. Trouble of the database or the broker is
// waited for.
func (r *run) work(ctx context.Context) {
	pauses := pipeline.NewPauses(100*time.Millisecond, 5*time.Second)
	for ctx.Err() == nil {
		done, err := r.step(ctx)
		switch {
		case done:
			return
		case err == nil:
			pauses.Reset()
			continue
		case ctx.Err() != nil:
			return
		}
		pause := pauses.NextBackOff()
		r.logger.Warn("a job does not get on", "job", r.job.ID, "err", err, "pause", pause)
		_ = r.db.JobTrouble(ctx, r.job.ID, err.Error()) // for people; the log has it
		wait(ctx, pause)
	}
}

// step does all that there is to do, and returns early with an error.
func (r *run) step(ctx context.Context) (done bool, err error) {
	if r.job.Kind == queries.JobReplay {
		return r.replay(ctx)
	}
	for {
		if err := r.check(ctx); err != nil {
			return false, err
		}
		n, state, err := r.db.SettleNext(ctx, &r.job, settleChunk)
		switch {
		case err != nil:
			return false, err
		case state != queries.JobRunning:
			return true, nil
		case n == 0:
			return r.finish(ctx)
		}
	}
}

// replay claims, sends and settles a chunk after the other.
func (r *run) replay(ctx context.Context) (done bool, err error) {
	// What was claimed by a worker that died, or could not be settled, comes first:
	// it is first in the order too.
	left, err := r.db.Claimed(ctx, r.job.ID)
	if err != nil {
		return false, err
	}
	if done, err := r.sendAll(ctx, left); done || err != nil {
		return done, err
	}
	size, limiter := pace(r.job.Rate)
	for {
		// The tokens first: what is claimed is sent at once, and not held while the
		// worker is told to stop.
		if err := limiter.WaitN(ctx, size); err != nil {
			return false, err
		}
		if err := r.check(ctx); err != nil {
			return false, err
		}
		claimed, state, err := r.db.ClaimReplay(ctx, &r.job, size)
		switch {
		case err != nil:
			return false, err
		case state != queries.JobRunning:
			return true, nil
		case len(claimed) == 0:
			return r.finish(ctx)
		}
		if done, err := r.sendAll(ctx, claimed); done || err != nil {
			return done, err
		}
	}
}

// pace returns how many messages to take at a time, and what to wait for them on:
// ten chunks a second, so that a rate is smooth and a pause is quick.
func pace(perSecond int) (size int, limiter *rate.Limiter) {
	if perSecond == 0 {
		return maxChunk, rate.NewLimiter(rate.Inf, maxChunk)
	}
	size = min(max(perSecond/10, 1), maxChunk)
	limiter = rate.NewLimiter(rate.Limit(perSecond), size)
	limiter.AllowN(time.Now(), size) // a job that is resumed has no burst to make up for
	return size, limiter
}

// sendAll sends claimed entries until each is confirmed or refused. The rest is
// sent again with the same attempt for as long as the job is running.
func (r *run) sendAll(ctx context.Context, list []queries.PoisonedMessage) (done bool, err error) {
	pauses := pipeline.NewPauses(100*time.Millisecond, 5*time.Second)
	for len(list) > 0 {
		rest, trouble, err := r.send(ctx, list)
		if err != nil {
			return false, err
		}
		if list = rest; len(list) == 0 {
			break
		}
		pause := pauses.NextBackOff()
		r.logger.Warn("the broker does not take replayed messages", "job", r.job.ID, "err", trouble, "pause", pause, "messages", len(list))
		_ = r.db.JobTrouble(ctx, r.job.ID, trouble.Error())
		wait(ctx, pause)
		job, err := r.db.Job(ctx, r.job.ID)
		if err != nil {
			return false, err
		}
		if job.State != queries.JobRunning {
			return true, nil
		}
	}
	return false, nil
}

// send sends the entries once and settles what is certain. It returns those that
// are not, with the reason of the first. It is not cut off by the worker's end:
// what was confirmed is settled.
func (r *run) send(ctx context.Context, list []queries.PoisonedMessage) (rest []queries.PoisonedMessage, trouble, err error) {
	detached, cancel := outlive(ctx, stopGrace)
	defer cancel()
	var confirmed []int64
	refused := map[int64]string{}
	for i, err := range r.sender.send(detached, list) {
		reason := refusal(err)
		switch {
		case err == nil:
			confirmed = append(confirmed, list[i].ID)
		case reason != "":
			refused[list[i].ID] = reason
		default:
			rest = append(rest, list[i])
			if trouble == nil {
				trouble = err
			}
		}
	}
	if err := r.db.SettleReplay(detached, r.job.ID, confirmed, refused); err != nil {
		// They stay claimed, and are sent again under the same attempt.
		return nil, nil, err
	}
	r.metrics.replayed(len(confirmed), len(refused))
	return rest, trouble, nil
}

func (r *run) finish(ctx context.Context) (done bool, err error) {
	if err := r.db.FinishJob(ctx, r.job.ID, ""); err != nil {
		return false, err
	}
	return true, nil
}

// outlive returns a context that ends a while after ctx does.
func outlive(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-out.Done():
		case <-timer.C:
			cancel(errStopped)
		}
	})
	return out, func() { stop(); cancel(nil) }
}

var errStopped = errors.New("the worker is stopping")

func wait(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
