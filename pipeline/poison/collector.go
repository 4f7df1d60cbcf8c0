package poison

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"chat-messaging/pipeline"
	"chat-messaging/queries"
)

const (
	// prefetch bounds what is in hand: poisoned messages may be as large as AMQP
	// lets them be.
	prefetch = 200
	// batchBytes ends a batch before it has prefetch messages.
	batchBytes = 4 << 20
	// linger is how long a batch waits for company. Nobody waits for a poisoned
	// message to be collected, and a commit for each would cost a flush for each.
	linger = 10 * time.Millisecond
	// collectTimeout bounds one try to store a batch.
	collectTimeout = 30 * time.Second
)

// CollectorConfig configures a Collector.
type CollectorConfig struct {
	// DB is where messages go. Required.
	DB *queries.DB
	// Connection to consume on. Required, and not to be shared with publishers.
	Connection *pipeline.Connection
	// Topology names the poison queue. Required.
	Topology pipeline.Topology
	// Migrated returns an error while the schema is not the one the statements
	// are written for. Required.
	Migrated func(context.Context) error
	// Metrics hear what is collected. Default nobody.
	Metrics *Metrics
	// Logger is required.
	Logger *slog.Logger
}

func (c *CollectorConfig) validate() error {
	var errs []error
	for name, missing := range map[string]bool{
		"DB": c.DB == nil, "Connection": c.Connection == nil, "Migrated": c.Migrated == nil, "Logger": c.Logger == nil,
		"Topology.PoisonQueue": c.Topology.PoisonQueue == "",
	} {
		if missing {
			errs = append(errs, fmt.Errorf("%s is required", name))
		}
	}
	return errors.Join(errs...)
}

// Collector moves messages from the poison queue into Postgres. Any number of them
// may work on one queue.
type Collector struct {
	cfg        CollectorConfig
	subscriber *pipeline.Subscriber
	state      atomic.Value // pipeline.State
}

// NewCollector checks the configuration; nothing is connected before Run.
func NewCollector(cfg CollectorConfig) (*Collector, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("invalid collector config: %w", err)
	}
	c := &Collector{cfg: cfg}
	c.state.Store(pipeline.Waiting)
	var err error
	c.subscriber, err = pipeline.NewSubscriber(pipeline.SubscriberConfig{
		Connection: cfg.Connection,
		Prefetch:   prefetch,
		Prepare:    c.prepare,
		Drain:      3 * time.Second,
		OnState:    func(s pipeline.State) { c.state.Store(s) },
		Logger:     cfg.Logger,
	})
	return c, err
}

// prepare waits until messages can be stored: meanwhile the queue keeps them.
func (c *Collector) prepare(ctx context.Context, _ string) error {
	for _, step := range []func(context.Context) error{
		c.cfg.Migrated,
		c.cfg.DB.Probe,
		func(ctx context.Context) error { return c.cfg.Topology.EnsurePoison(ctx, c.cfg.Connection) },
	} {
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := step(limited)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// State tells what the collector is doing.
func (c *Collector) State() pipeline.State {
	s, _ := c.state.Load().(pipeline.State)
	return s
}

// Run collects until the context ends. What is in hand then is stored or goes back
// to the queue.
func (c *Collector) Run(ctx context.Context) error {
	// The subscription outlives ctx: Close ends it, with time for what is in hand.
	messages, err := c.subscriber.Subscribe(context.WithoutCancel(ctx), c.cfg.Topology.PoisonQueue)
	if err != nil {
		return fmt.Errorf("collecting poisoned messages: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = c.subscriber.Close() })()
	for {
		batch := nextBatch(messages)
		if len(batch) == 0 {
			return nil
		}
		c.collect(ctx, batch)
	}
}

// nextBatch waits for a message and takes those that come close behind. It is
// empty if no more will come.
func nextBatch(messages <-chan *message.Message) []*message.Message {
	first, ok := <-messages
	if !ok {
		return nil
	}
	batch, size := []*message.Message{first}, len(first.Payload)
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for len(batch) < prefetch && size < batchBytes {
		select {
		case msg, ok := <-messages:
			if !ok {
				return batch
			}
			batch, size = append(batch, msg), size+len(msg.Payload)
		case <-timer.C:
			return batch
		}
	}
	return batch
}

// collect stores a batch and acknowledges it. If that fails the window goes back to
// the queue, and consuming begins again once the database answers: prepare probes
// it. After an error the batch may be stored all the same; its ids tell.
func (c *Collector) collect(ctx context.Context, batch []*message.Message) {
	entries := make([]queries.NewPoisoned, 0, len(batch))
	for _, msg := range batch {
		entries = append(entries, entryOf(pipeline.DeliveryFrom(msg.Context()), c.cfg.Topology, time.Now().UTC()))
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), collectTimeout)
	defer cancel()
	collected, err := c.cfg.DB.CollectPoisoned(limited, entries)
	if err != nil {
		c.cfg.Logger.Warn("poisoned messages could not be collected and stay in the queue", "err", err, "messages", len(batch))
		for _, msg := range batch {
			msg.Nack()
		}
		return
	}
	for _, msg := range batch {
		msg.Ack()
	}
	c.cfg.Metrics.collected(collected)
	if collected.Returned > 0 {
		c.cfg.Logger.Warn("replayed messages were poisoned again", "messages", collected.Returned)
	}
}
