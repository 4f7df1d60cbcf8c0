package middleware

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v5"

	"chat-messaging/queries"
)

// ErrClosed is the verdict of messages that were not processed because the
// service stops: not their fault, somebody else gets them. It is a cancellation,
// which the router does not log as a failure.
var ErrClosed = fmt.Errorf("the outbox is closed: %w", context.Canceled)

// OutboxConfig configures an Outbox.
type OutboxConfig struct {
	// Arrivals is the line that the subscriber issues tickets from. Required.
	Arrivals *Arrivals
	// Begin opens a transaction. Required; called by one goroutine at a time.
	Begin func(context.Context) (*queries.Tx, error)
	// Schema writes the events that the handlers produce. Required.
	Schema *OutboxSchema
	// Isolate tells errors that one message of the batch is to blame for.
	// Required. All others are about the batch as a whole.
	Isolate func(error) bool
	// Condemn makes the permanent error of a message that failed alone.
	// Required.
	Condemn func(error) error
	// Probe proves that the database is healthy; nobody is condemned while it
	// fails. Required.
	Probe func(context.Context) error
	// Around are the middlewares of the inner ring, outermost first.
	Around []message.HandlerMiddleware
	// Committed is called after each commit that wrote events, with their rows if it
	// is known which these are. It may keep them. Default none.
	Committed func([]queries.OutboxRow)
	// Observe is called with the size and duration of each finished transaction.
	// Default none.
	Observe func(size int, took time.Duration, err error)
	// MaxBatch bounds a batch. Default 1000.
	MaxBatch int
	// MaxBatchBytes bounds the payloads of a batch, which are in memory several
	// times while it is stored; a single message may be larger. Default 4 MiB.
	MaxBatchBytes int
	// Linger is how long a batch that is not full waits for more. Default 0: a
	// batch is what arrived while the previous one was being committed.
	Linger time.Duration
	// Timeout bounds the handler in a transaction; its end is bounded by the
	// database's own limits. Default 10 s.
	Timeout time.Duration
}

func (c *OutboxConfig) setDefaults() {
	if c.MaxBatch == 0 {
		c.MaxBatch = 1000
	}
	if c.MaxBatchBytes == 0 {
		c.MaxBatchBytes = 4 << 20
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Committed == nil {
		c.Committed = func([]queries.OutboxRow) {}
	}
	if c.Observe == nil {
		c.Observe = func(int, time.Duration, error) {}
	}
}

func (c *OutboxConfig) validate() error {
	var errs []error
	for name, missing := range map[string]bool{
		"Arrivals": c.Arrivals == nil, "Begin": c.Begin == nil, "Schema": c.Schema == nil,
		"Isolate": c.Isolate == nil, "Condemn": c.Condemn == nil, "Probe": c.Probe == nil,
	} {
		if missing {
			errs = append(errs, fmt.Errorf("%s is required", name))
		}
	}
	if c.MaxBatch < 1 {
		errs = append(errs, fmt.Errorf("MaxBatch is %d and must be at least 1", c.MaxBatch))
	}
	if c.MaxBatchBytes < 1 {
		errs = append(errs, fmt.Errorf("MaxBatchBytes is %d and must be at least 1", c.MaxBatchBytes))
	}
	return errors.Join(errs...)
}

// Outbox is the middleware that commits in groups. The router's goroutines, one
// a message, wait in it while its own goroutine runs the handler once for all
// that have arrived, in arrival order, inside one transaction; the events that
// the handler returns become outbox rows of the same transaction:
//
//	goroutine of message 1 ─┐                      ┌─ BEGIN
//	goroutine of message 2 ─┼─ join, in ticket ──▶ │  handler(batch) → events
//	goroutine of message 3 ─┘  order               │  INSERT INTO outbox
//	         ▲                                     └─ COMMIT
//	         └───────── each gets its verdict ◀────────┘
//
// A transaction costs a disk flush and two or more round trips whatever its
// size, so this is where the throughput comes from. No batch waits for company:
// it is made of what arrived while the previous one was committing.
type Outbox struct {
	cfg     OutboxConfig
	started atomic.Bool
	once    sync.Once
	quit    chan struct{}
	done    chan struct{}
	pool    sync.Pool
	places  []place // of the batch at hand; the worker's own
	waiting held    // likewise
}

// NewOutbox checks the configuration. The outbox starts when its Middleware is
// put around a handler, which is to happen once.
func NewOutbox(cfg OutboxConfig) (*Outbox, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("invalid outbox config: %w", err)
	}
	return &Outbox{
		cfg:  cfg,
		quit: make(chan struct{}),
		done: make(chan struct{}),
		pool: sync.Pool{New: func() any { return &entry{verdict: make(chan error, 1)} }},
	}, nil
}

// Middleware implements message.HandlerMiddleware.
func (o *Outbox) Middleware(next message.HandlerFunc) message.HandlerFunc {
	run := o.transaction(next)
	for _, v := range slices.Backward(o.cfg.Around) {
		run = v(run)
	}
	o.started.Store(true)
	go o.work(run)
	return func(msg *message.Message) ([]*message.Message, error) {
		return nil, o.wait(msg)
	}
}

// wait joins the line and returns the message's verdict.
func (o *Outbox) wait(msg *message.Message) error {
	ticket := TicketFrom(msg.Context())
	if ticket == nil {
		ticket = o.cfg.Arrivals.Issue()
	}
	e, _ := o.pool.Get().(*entry)
	e.of(msg)
	if !ticket.join(e) {
		// The subscriber gave the message up before it got here.
		if err := context.Cause(msg.Context()); err != nil {
			return err
		}
		return ErrClosed
	}
	select {
	case err := <-e.verdict:
		e.forget()
		o.pool.Put(e)
		return err
	case <-o.done:
	}
	// The last batch gets its verdicts before the end.
	select {
	case err := <-e.verdict:
		return err
	default:
		return ErrClosed
	}
}

// Close ends the outbox after the batch that it is working on. Close the
// subscriber first: what still waits then gets ErrClosed. Safe to call twice,
// and before the outbox has started.
func (o *Outbox) Close() {
	o.once.Do(func() { close(o.quit) })
	if o.started.Load() {
		<-o.done
	}
}

// work is the loop of the outbox's goroutine.
func (o *Outbox) work(run message.HandlerFunc) {
	defer close(o.done)
	entries := make([]*entry, 0, o.cfg.MaxBatch)
	for {
		select {
		case <-o.quit:
			return
		case <-o.cfg.Arrivals.ready:
		case <-o.waiting.again():
		}
		var space room
		entries, space = o.cfg.Arrivals.take(entries[:0], room{o.cfg.MaxBatch, o.cfg.MaxBatchBytes})
		if o.cfg.Linger > 0 && len(entries) > 0 && !space.none() {
			entries = o.linger(entries, space)
		}
		o.process(run, entries)
		clear(entries)
	}
}

// linger waits for a batch to fill.
func (o *Outbox) linger(entries []*entry, space room) []*entry {
	timer := time.NewTimer(o.cfg.Linger)
	defer timer.Stop()
	for !space.none() {
		select {
		case <-timer.C:
			return entries
		case <-o.quit:
			return entries
		case <-o.cfg.Arrivals.ready:
			entries, space = o.cfg.Arrivals.take(entries, space)
		}
	}
	return entries
}

// process brings the messages of the entries to their verdicts, behind those that
// were held before.
func (o *Outbox) process(run message.HandlerFunc, entries []*entry) {
	o.places = o.waiting.take(o.places[:0])
	for _, e := range entries {
		if e.open = len(e.members); e.open == 0 {
			e.settle()
		}
		for i, msg := range e.members {
			o.places = append(o.places, place{msg, &e.errs[i], e})
		}
	}
	o.decide(run, o.places)
	clear(o.places)
}

// decide brings every message to its verdict. One message must not fail its
// batch: where one is to blame the batch is halved, in order, until that one is
// alone.
func (o *Outbox) decide(run message.HandlerFunc, places []place) {
	live := make([]place, 0, len(places))
	for _, p := range places {
		// A message whose channel is gone is on its way to somebody else. Those
		// behind it on the same channel are too, so what is processed of a
		// channel is always a prefix of what it delivered.
		if err := p.msg.Context().Err(); err != nil {
			p.decide(context.Cause(p.msg.Context()))
			continue
		}
		live = append(live, p)
	}
	if len(live) == 0 {
		return
	}
	batch, err := o.attempt(run, live)
	switch {
	case err == nil:
		for i, p := range live {
			if _, held := batch.held[i]; held {
				o.waiting.add(p)
				continue
			}
			p.decide(batch.verdicts[i])
		}
	case errors.Is(err, queries.ErrChatLocked):
		o.waiting.passLocked()
		o.decide(run, live)
	case !o.cfg.Isolate(err):
		for _, p := range live {
			p.decide(err)
		}
	case len(live) > 1:
		half := len(live) / 2
		o.decide(run, live[:half])
		o.decide(run, live[half:])
	default:
		live[0].decide(o.cfg.Condemn(err))
	}
}

// attempt runs the inner ring once over the messages. An error that blames a
// single message is only believed while the database answers a probe: before
// that it is tried again.
func (o *Outbox) attempt(run message.HandlerFunc, places []place) (*Batch, error) {
	batch := &Batch{Messages: make([]*message.Message, len(places)), busy: o.waiting.busy}
	for i, p := range places {
		batch.Messages[i] = p.msg
	}
	// The youngest message lives longest: while its channel is open there is
	// somebody to acknowledge to, and so a reason to go on trying.
	live := places[len(places)-1].msg.Context()
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = 50*time.Millisecond, 5*time.Second
	for {
		carrier := message.NewMessage("", nil)
		carrier.SetContext(withBatch(live, batch))
		_, err := run(carrier)
		if err == nil || !o.cfg.Isolate(err) || len(places) > 1 || o.healthy(live) {
			return batch, err
		}
		if err := sleep(live, pauses.NextBackOff()); err != nil {
			return batch, err
		}
	}
}

// healthy tells whether the database answers a probe at this moment.
func (o *Outbox) healthy(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.cfg.Timeout)
	defer cancel()
	return o.cfg.Probe(ctx) == nil
}
