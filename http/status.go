package http

import (
	"context"
	"fmt"
	"sync"
	"time"

	"chat-messaging/queries"
)

// StatusSource is where a Status comes from: the tables and the broker, so that
// it is the same on every machine that reaches both.
type StatusSource struct {
	DB *queries.DB
	// InputQueue is the name of the queue that is consumed.
	InputQueue string
	// Queues asks the broker for the input queue and the poison queue.
	Queues func(ctx context.Context) (input, poison Queue, err error)
}

// Queue is what the broker says of a queue.
type Queue struct {
	Name string `json:"name"`
	// Messages that are ready; those that a consumer has in hand are not.
	Messages  int `json:"messages"`
	Consumers int `json:"consumers"`
}

// Status is the whole service at one moment. What could not be read is nil, and
// Reasons says why.
type Status struct {
	At      time.Time `json:"at"`
	Healthy bool      `json:"healthy"`
	// Reasons are why it is not healthy, Notes what is worth knowing and no fault.
	Reasons []string `json:"reasons"`
	Notes   []string `json:"notes"`
	// Rates are of all instances together; nil until one has reported twice.
	Rates *PerSecond `json:"rates"`
	// InHand of Window deliveries are not settled.
	InHand int `json:"in_hand"`
	Window int `json:"window"`
	// BatchLimit is the most messages of a transaction.
	BatchLimit int     `json:"batch_limit"`
	Outbox     *Outbox `json:"outbox"`
	Input      *Queue  `json:"input"`
	Poison     *Queue  `json:"poison"`
	// Poisoned are the messages that wait for an operator's decision, by reason,
	// the largest group first.
	Poisoned    []queries.PoisonGroup `json:"poisoned"`
	Consumption *Consumption          `json:"consumption"`
	// Leader is the instance whose relay dispatches the outbox.
	Leader    *string    `json:"leader"`
	Instances []Instance `json:"instances"`
}

// PerSecond are messages or events a second, over the time between an instance's
// last two heartbeats.
type PerSecond struct {
	// In is the sum of what follows but Dispatched: deliveries with an outcome.
	In         float64 `json:"in"`
	Accepted   float64 `json:"accepted"`
	Rejected   float64 `json:"rejected"`
	Repeated   float64 `json:"repeated"`
	Replayed   float64 `json:"replayed"`
	Poisoned   float64 `json:"poisoned"`
	Dispatched float64 `json:"dispatched"`
	// Batch is the mean number of messages of a transaction; 0 if there was none.
	Batch float64 `json:"batch"`

	batches, batchMessages float64
}

// Outbox is what waits for its dispatch.
type Outbox struct {
	// Rows counts events, up to 10,001.
	Rows          int     `json:"rows"`
	OldestSeconds float64 `json:"oldest_seconds"`
}

// Consumption is whether the input queue is consumed. The rest is of the last
// change, and empty if there was none.
type Consumption struct {
	Queue     string     `json:"queue"`
	Paused    bool       `json:"paused"`
	ChangedAt *time.Time `json:"changed_at"`
	ChangedBy string     `json:"changed_by"`
	Reason    string     `json:"reason"`
}

// NewConsumption is the wire form.
func NewConsumption(c queries.Consumption) Consumption {
	out := Consumption{Queue: c.Queue, Paused: c.Paused, ChangedBy: c.ChangedBy, Reason: c.Reason}
	if !c.ChangedAt.IsZero() {
		out.ChangedAt = &c.ChangedAt
	}
	return out
}

// Instance is one process of the service.
type Instance struct {
	ID         string    `json:"id"`
	Host       string    `json:"host"`
	PID        int       `json:"pid"`
	Version    string    `json:"version"`
	Commit     string    `json:"commit"`
	Components []string  `json:"components"`
	StartedAt  time.Time `json:"started_at"`
	// SilentSeconds is how long ago the last heartbeat was; Lost says that it is
	// too long ago.
	SilentSeconds float64 `json:"silent_seconds"`
	Lost          bool    `json:"lost"`
	// Consumer and Relay are their states, empty without one.
	Consumer string            `json:"consumer"`
	Relay    string            `json:"relay"`
	InHand   int               `json:"in_hand"`
	Window   int               `json:"window"`
	Rates    *PerSecond        `json:"rates"`
	Problems map[string]string `json:"problems"`

	batchLimit int
}

// name is how people are told of an instance.
func (i Instance) name() string { return fmt.Sprintf("%s/%d", i.Host, i.PID) }

// LostAfter is how long an instance may be silent: a few of its heartbeats.
const LostAfter = 10 * time.Second

// ReadStatus asks everywhere at once, and judges what it hears. It never fails:
// a service whose database is away has a status too.
func ReadStatus(ctx context.Context, from StatusSource) Status {
	s := Status{At: time.Now().UTC(), Reasons: []string{}, Notes: []string{}, Instances: []Instance{}}
	var broken error
	var asking sync.WaitGroup
	asking.Go(func() {
		input, poison, err := from.Queues(ctx)
		if err != nil {
			broken = err
			return
		}
		s.Input, s.Poison = &input, &poison
	})
	databaseErr := s.readDatabase(ctx, from)
	asking.Wait()
	s.judge(databaseErr, broken)
	return s
}

func (s *Status) readDatabase(ctx context.Context, from StatusSource) error {
	consumption, err := from.DB.Consumption(ctx, from.InputQueue)
	if err != nil {
		return err
	}
	c := NewConsumption(consumption)
	s.Consumption = &c
	events, oldest, err := from.DB.OutboxBacklog(ctx)
	if err != nil {
		return err
	}
	s.Outbox = &Outbox{Rows: events, OldestSeconds: oldest.Seconds()}
	if s.Poisoned, err = from.DB.PoisonGroups(ctx, queries.PoisonFilter{States: []queries.PoisonState{queries.PoisonWaiting}}); err != nil {
		return err
	}
	instances, err := from.DB.Instances(ctx)
	if err != nil {
		return err
	}
	for _, each := range instances {
		s.add(newInstance(each))
	}
	return nil
}

// add counts an instance in.
func (s *Status) add(i Instance) {
	s.Instances = append(s.Instances, i)
	if i.Lost {
		return
	}
	s.InHand += i.InHand
	if i.Consumer == consumerConsuming {
		s.Window = max(s.Window, i.Window)
	}
	s.BatchLimit = max(s.BatchLimit, i.batchLimit)
	if i.Relay == queries.RelayLeading {
		s.Leader = &i.ID
	}
	if i.Rates != nil {
		if s.Rates == nil {
			s.Rates = &PerSecond{}
		}
		s.Rates.add(*i.Rates)
	}
}

func newInstance(from queries.Instance) Instance {
	r := from.Report
	i := Instance{
		ID: from.ID.String(), Host: r.Host, PID: r.PID, Version: r.Version, Commit: r.Commit, Components: r.Components,
		StartedAt: from.StartedAt, SilentSeconds: max(0, from.Silent.Seconds()), Lost: from.Silent > LostAfter,
		Consumer: r.Consumer, Relay: r.Relay, InHand: r.InHand, Window: r.Window, Problems: r.Problems, batchLimit: r.BatchLimit,
	}
	if i.Components == nil {
		i.Components = []string{}
	}
	if i.Problems == nil {
		i.Problems = map[string]string{}
	}
	if from.Earlier != nil && from.EarlierBy > 0 {
		rates := ratesBetween(from.Earlier.Totals, r.Totals, from.EarlierBy.Seconds())
		i.Rates = &rates
	}
	return i
}

func ratesBetween(before, after queries.Totals, seconds float64) PerSecond {
	per := func(a, b int64) float64 { return max(0, float64(b-a)/seconds) }
	r := PerSecond{
		In:         per(before.Settled(), after.Settled()),
		Accepted:   per(before.Accepted, after.Accepted),
		Rejected:   per(before.Rejected, after.Rejected),
		Repeated:   per(before.Repeated, after.Repeated),
		Replayed:   per(before.Replayed, after.Replayed),
		Poisoned:   per(before.Poisoned, after.Poisoned),
		Dispatched: per(before.Dispatched, after.Dispatched),

		batches:       per(before.Batches, after.Batches),
		batchMessages: per(before.BatchMessages, after.BatchMessages),
	}
	r.mean()
	return r
}

func (r *PerSecond) add(other PerSecond) {
	r.In += other.In
	r.Accepted += other.Accepted
	r.Rejected += other.Rejected
	r.Repeated += other.Repeated
	r.Replayed += other.Replayed
	r.Poisoned += other.Poisoned
	r.Dispatched += other.Dispatched
	r.batches += other.batches
	r.batchMessages += other.batchMessages
	r.mean()
}

func (r *PerSecond) mean() {
	if r.batches > 0 {
		r.Batch = r.batchMessages / r.batches
	}
}
