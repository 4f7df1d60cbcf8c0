package queries

import (
	"context"
	"fmt"
	"runtime"
	"sync"
)

// gatherer answers requests of one kind many at a time: those that come while a
// statement is under way are asked with the next one. Most of what a small
// statement costs is not its rows but its round trip and the processes that it
// wakes on either side, and these a batch has once. No request waits for
// company: where nobody else asks, a batch is one.
//
//	ask ─┐            ┌─ lane: one statement for all that wait ─┐
//	ask ─┼─ waiting ──┤                                         ├─▶ each its answer
//	ask ─┘            └─ lane: …                                ┘
//
// A request fails with its batch, so requests must be such that none of them can
// be to blame for an error. Safe for concurrent use.
type gatherer[Q, A any] struct {
	// answer runs one statement; its answers are those of the requests in their
	// order. It owns all that it writes to: an asker may be gone before it ends.
	answer func(ctx context.Context, requests []Q) ([]A, error)
	// lanes is how many statements are under way at most, limit how many
	// requests one takes.
	lanes, limit int

	mu      sync.Mutex
	waiting []*asked[Q, A]
	running int
}

// asked is a request that waits.
type asked[Q, A any] struct {
	ctx     context.Context //nolint:containedctx // the asker's own; tells the lane that nobody waits any more
	request Q
	done    chan struct{}
	answer  A
	err     error
}

// ask returns the request's answer, or the end of ctx.
func (g *gatherer[Q, A]) ask(ctx context.Context, request Q) (A, error) {
	a := &asked[Q, A]{ctx: ctx, request: request, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, a)
	if g.running < g.lanes {
		g.running++
		go g.work()
	}
	g.mu.Unlock()
	select {
	case <-a.done:
		return a.answer, a.err
	case <-ctx.Done():
		var none A
		return none, fmt.Errorf("waiting for the database: %w", ctx.Err())
	}
}

// work is a lane: it ends when nobody waits.
func (g *gatherer[Q, A]) work() {
	var batch []*asked[Q, A]
	var requests []Q
	for {
		// Whoever is about to ask does so first. Where nobody is, this costs nothing.
		runtime.Gosched()
		batch, requests = g.take(batch[:0]), requests[:0]
		if len(batch) == 0 {
			return
		}
		for _, a := range batch {
			requests = append(requests, a.request)
		}
		answers, err := g.run(requests)
		for i, a := range batch {
			if a.err = err; err == nil {
				a.answer = answers[i]
			}
			close(a.done)
		}
	}
}

// take returns the requests that have waited longest, and none to a lane that
// ends for it.
func (g *gatherer[Q, A]) take(batch []*asked[Q, A]) []*asked[Q, A] {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken := 0
	for _, a := range g.waiting {
		if len(batch) == g.limit {
			break
		}
		taken++
		if a.ctx.Err() == nil {
			batch = append(batch, a)
		}
	}
	left := copy(g.waiting, g.waiting[taken:])
	clear(g.waiting[left:])
	g.waiting = g.waiting[:left]
	if len(batch) == 0 {
		g.running--
	}
	return batch
}

// run asks for one batch. A panic is the batch's failure: nobody above a lane
// could catch it.
func (g *gatherer[Q, A]) run(requests []Q) (answers []A, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("a panic while reading: %v", panicked)
		}
	}()
	answers, err = g.answer(context.Background(), requests)
	if err == nil && len(answers) != len(requests) {
		err = fmt.Errorf("%d answers to %d requests", len(answers), len(requests))
	}
	return answers, err
}
