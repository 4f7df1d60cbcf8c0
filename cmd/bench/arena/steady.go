package arena

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"
)

// SteadyConfig is a stream of the workload's messages at an even pace.
type SteadyConfig struct {
	// Rate is messages in a second.
	Rate int
	// Skip is how many of the first messages are not in the times.
	Skip int
	// Begin is called before the first message that is, and End when the last
	// event is there. Default: nothing.
	Begin, End func() error
}

// timersOff is how much later than asked for a timer may fire. A message that is
// published later than that counts from when it was due: the publisher was held
// up, which is the broker's doing and part of the latency. (If each counted from
// when it was published, the worst moments would have the fewest messages.)
const timersOff = 2 * time.Millisecond

// Steady publishes the workload and takes the events out as a dispatcher does,
// until all have come and are struck off the ledger. It returns how long each
// message took from its publishing to its event.
func (g *Ground) Steady(ctx context.Context, cfg SteadyConfig, ledger *Ledger) (times []time.Duration, err error) {
	s := &steady{ground: g, cfg: cfg, ledger: ledger, began: make([]atomic.Int64, g.workload.Count)}
	s.index = make(map[uuid.UUID]int, g.workload.Count)
	for m := range g.workload.Messages() {
		s.index[m.Key] = len(s.messages)
		s.messages = append(s.messages, publishing(m))
	}
	out, err := g.arena.broker.Channel(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	// Opened first, so that no event waits for it.
	events, err := out.ConsumeWithContext(ctx, g.outbound, "", true, false, false, false, nil)
	if err != nil {
		return nil, fmt.Errorf("reading the events: %w", err)
	}
	// A connection of its own: the broker stops reading from one that publishes
	// faster than it can take.
	conn, err := amqp.Dial(g.Broker)
	if err != nil {
		return nil, fmt.Errorf("connecting the publisher: %w", err)
	}
	defer func() { _ = conn.Close() }()
	in, err := conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("connecting the publisher: %w", err)
	}
	parts, ctx := errgroup.WithContext(ctx)
	s.start = time.Now()
	parts.Go(func() error { return s.publish(ctx, in) })
	parts.Go(func() error { return s.receive(ctx, events) })
	if err := parts.Wait(); err != nil {
		return nil, err
	}
	return s.times, nil
}

// steady is one stream on its way.
type steady struct {
	ground   *Ground
	cfg      SteadyConfig
	ledger   *Ledger
	messages []amqp.Publishing
	index    map[uuid.UUID]int
	start    time.Time
	// began is when each message set out, in nanoseconds from start. The publisher
	// writes it, the receiver reads it.
	began []atomic.Int64
	times []time.Duration
}

func (s *steady) publish(ctx context.Context, ch *amqp.Channel) error {
	exchange := s.ground.Topology.DatabaseExchange
	for i := range s.messages {
		due := time.Duration(i) * time.Second / time.Duration(s.cfg.Rate)
		if err := until(ctx, s.start.Add(due)); err != nil {
			return err
		}
		if i == s.cfg.Skip && s.cfg.Begin != nil {
			if err := s.cfg.Begin(); err != nil {
				return err
			}
		}
		began := time.Since(s.start)
		if began-due > timersOff {
			began = due
		}
		s.began[i].Store(int64(began))
		if err := ch.PublishWithContext(ctx, exchange, "", false, false, s.messages[i]); err != nil {
			return fmt.Errorf("publishing at a steady rate: %w", err)
		}
	}
	return nil
}

// until waits for a moment.
func until(ctx context.Context, moment time.Time) error {
	left := time.Until(moment)
	if left <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *steady) receive(ctx context.Context, events <-chan amqp.Delivery) error {
	for range s.ledger.Events() {
		event, err := next(ctx, events, quiet)
		now := time.Since(s.start)
		if err != nil {
			return fmt.Errorf("reading the events: %w", err)
		}
		key, err := s.ledger.Event(event)
		if err != nil {
			return err
		}
		i, known := s.index[key]
		if !known {
			return errors.New("an event is of a message that was not sent")
		}
		if i >= s.cfg.Skip {
			s.times = append(s.times, now-time.Duration(s.began[i].Load()))
		}
	}
	if s.cfg.End != nil {
		return s.cfg.End()
	}
	return nil
}
