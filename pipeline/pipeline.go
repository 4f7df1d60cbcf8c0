package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"chat-messaging/handlers"
	"chat-messaging/middleware"
	"chat-messaging/queries"
)

// Config configures a Pipeline.
type Config struct {
	// DB is the database. Required.
	DB *queries.DB
	// Consume and Publish are connections to the broker. Required, not the same.
	Consume, Publish *Connection
	// Topology names the queues. Required.
	Topology Topology
	// Policy is the policy decision point. Required.
	Policy handlers.Decider
	// Migrated returns an error while the schema is not the one the statements
	// are written for. Nothing is consumed until it returns nil. Required.
	Migrated func(context.Context) error
	// Committed is called when a commit has put events into the outbox, with their
	// rows, which it may keep, or with none where it is not known which these are.
	// Required.
	Committed func([]queries.OutboxRow)
	// Metrics are required.
	Metrics *Metrics
	// Tracer makes the spans. Default: none are made.
	Tracer trace.Tracer
	// Logger and RouterLogger are required: Watermill's router has its own idea
	// of what is worth telling.
	Logger       *slog.Logger
	RouterLogger watermill.LoggerAdapter
	// Limits of an incoming message.
	Limits handlers.Limits
	// BeforePersist are further handlers, between authorize and persist.
	BeforePersist []handlers.Handler
	// Prefetch, BatchSize and BatchLinger: see SubscriberConfig.Prefetch and
	// OutboxConfig.MaxBatch and Linger.
	Prefetch, BatchSize int
	BatchLinger         time.Duration
	// Grace is how long Close waits for messages that are being handled. Default
	// 10 s.
	Grace time.Duration
	// OutageAfter is how long a transaction is tried again before the window is
	// given back to the broker. Default 10 s.
	OutageAfter time.Duration
}

func (c *Config) setDefaults() {
	if c.Tracer == nil {
		c.Tracer = noop.NewTracerProvider().Tracer("")
	}
	if c.Grace == 0 {
		c.Grace = 10 * time.Second
	}
	if c.OutageAfter == 0 {
		c.OutageAfter = 10 * time.Second
	}
}

func (c *Config) validate() error {
	var errs []error
	for name, missing := range map[string]bool{
		"DB": c.DB == nil, "Consume": c.Consume == nil, "Publish": c.Publish == nil, "Policy": c.Policy == nil,
		"Migrated": c.Migrated == nil, "Committed": c.Committed == nil, "Metrics": c.Metrics == nil,
		"Logger": c.Logger == nil, "RouterLogger": c.RouterLogger == nil,
		"Topology.DatabaseQueue": c.Topology.DatabaseQueue == "", "Topology.PoisonQueue": c.Topology.PoisonQueue == "",
	} {
		if missing {
			errs = append(errs, fmt.Errorf("%s is required", name))
		}
	}
	return errors.Join(errs...)
}

// Pipeline consumes messages, runs the chain, and leaves events in the outbox.
type Pipeline struct {
	cfg        Config
	metrics    *Metrics
	router     *message.Router
	subscriber *Subscriber
	poison     *Publisher
	parker     *parker
	outbox     *middleware.Outbox
	writer     *queries.Writer
	handle     handlers.Handler
	holding    bool         // messages wait for locked chats; of the outbox's goroutine
	state      atomic.Value // State
	reason     atomic.Pointer[relayState]
	gate       *Gate
	pause      pause
}

// New puts the pieces together; nothing is connected before Run.
func New(cfg Config) (*Pipeline, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("invalid pipeline config: %w", err)
	}
	p := &Pipeline{cfg: cfg, metrics: cfg.Metrics, writer: queries.NewWriter(cfg.DB), handle: chain(&cfg), gate: NewGate()}
	p.state.Store(Waiting)
	p.reason.Store(&relayState{err: errors.New("not started")})
	var err error
	arrivals := middleware.NewArrivals()
	if p.poison, err = NewPublisher(PublisherConfig{
		Connection: cfg.Publish,
		Marshaler:  parkMarshaler{},
		Prepare:    func(ctx context.Context) error { return cfg.Topology.EnsurePoison(ctx, cfg.Publish) },
		Logger:     cfg.Logger,
	}); err != nil {
		return nil, err
	}
	p.parker = &parker{
		publisher: p.poison,
		input:     cfg.Topology.DatabaseQueue,
		poison:    cfg.Topology.PoisonQueue,
		ensure:    func(ctx context.Context) error { return cfg.Topology.EnsurePoison(ctx, cfg.Publish) },
	}
	if p.subscriber, err = NewSubscriber(SubscriberConfig{
		Connection: cfg.Consume,
		Prefetch:   cfg.Prefetch,
		Group:      groupSize(&cfg),
		Arrivals:   arrivals,
		Prepare:    p.prepare,
		Exclusive:  true,
		Lock:       p.lock,
		Gate:       p.gate,
		Drain:      cfg.Grace,
		OnState:    p.onState,
		Logger:     cfg.Logger,
	}); err != nil {
		return nil, err
	}
	if p.outbox, err = middleware.NewOutbox(middleware.OutboxConfig{
		Arrivals:  arrivals,
		Begin:     p.writer.Begin,
		Schema:    middleware.NewOutboxSchema(outboxEvent),
		Isolate:   isolates,
		Condemn:   condemn,
		Probe:     cfg.DB.Probe,
		Around:    p.perBatch(),
		Committed: cfg.Committed,
		Observe:   p.metrics.batch,
		MaxBatch:  cfg.BatchSize,
		Linger:    cfg.BatchLinger,
	}); err != nil {
		return nil, err
	}
	return p, p.route()
}

// groupSize is maxGroup, less where the window or a batch is smaller.
func groupSize(cfg *Config) int {
	size := maxGroup
	for _, bound := range []int{cfg.Prefetch, cfg.BatchSize} {
		if bound > 0 {
			size = min(size, bound)
		}
	}
	return size
}

// route builds the router around the chain.
func (p *Pipeline) route() error {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: p.cfg.Grace + 5*time.Second}, p.cfg.RouterLogger)
	if err != nil {
		return fmt.Errorf("making the router: %w", err)
	}
	around, err := p.perDelivery()
	if err != nil {
		return err
	}
	router.AddMiddleware(around...)
	router.AddHandler("messages", p.cfg.Topology.DatabaseQueue, p.subscriber, "", noPublisher{}, p.runBatch)
	p.router = router
	return nil
}

// Run consumes until Close. It returns nil then; a return before that is an
// error, because the router never ends by itself.
func (p *Pipeline) Run() error {
	watching, stop := context.WithCancel(context.Background())
	var watcher sync.WaitGroup
	watcher.Go(func() { p.watchConsumption(watching) })
	defer watcher.Wait()
	defer stop()
	// The router's context must outlive the signal that stops the service: its
	// end would cut off messages that are being handled.
	err := p.router.Run(context.Background())
	if err == nil && !p.router.IsClosed() {
		return errors.New("the router ended by itself")
	}
	if err != nil {
		return fmt.Errorf("running the router: %w", err)
	}
	return nil
}

// Close stops consuming, lets the messages that are being handled finish within
// the grace period, and acknowledges them. Safe to call twice.
func (p *Pipeline) Close() error {
	// The order matters: intake first; then the batch that is under way; the
	// sessions and channels that both need come last.
	err := p.router.Close()
	p.outbox.Close()
	p.writer.Close()
	return errors.Join(err, p.poison.Close())
}

// Err returns nil while the pipeline consumes, stands by for another instance
// that does, or is paused, and why not otherwise.
func (p *Pipeline) Err() error {
	return p.reason.Load().err
}

// State tells what the consumer is doing.
func (p *Pipeline) State() State {
	s, _ := p.state.Load().(State)
	return s
}

// InHand is how many deliveries are not settled yet.
func (p *Pipeline) InHand() int { return p.subscriber.InHand() }

func (p *Pipeline) onState(s State) {
	p.state.Store(s)
	p.metrics.consumerState(s)
	switch s {
	case Consuming, Standby, Paused:
		p.reason.Store(&relayState{})
	case Stopped:
		p.reason.Store(&relayState{err: errors.New("stopped")})
	case Waiting:
	}
}

// prepare waits until messages can be handled: the database answers and has the
// right schema, and the topology is there. While it waits the broker keeps the
// messages, and shows no consumer.
func (p *Pipeline) prepare(ctx context.Context, _ string) error {
	for _, step := range []func(context.Context) error{
		p.cfg.Migrated,
		p.cfg.DB.Probe,
		p.readConsumption, // before the first message: a restart does not resume
		func(ctx context.Context) error { return p.cfg.Topology.EnsureInput(ctx, p.cfg.Consume) },
	} {
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := step(limited)
		cancel()
		if errors.Is(err, errPaused) {
			return err
		}
		if err != nil {
			p.reason.Store(&relayState{err: err})
			return err
		}
	}
	return nil
}

func (p *Pipeline) lock(ctx context.Context, topic string) (Lock, error) {
	lock, err := p.cfg.DB.TryLock(ctx, "chat-messaging consumer of "+topic)
	if lock == nil || err != nil {
		return nil, err // not lock: a nil *queries.Lock is not a nil Lock
	}
	return lock, nil
}

// park is what the poison middleware does with a permanent failure.
func (p *Pipeline) park(ctx context.Context, msg *message.Message, reason error) error {
	if err := p.parker.park(ctx, msg, reason); err != nil {
		return err
	}
	if failure, ok := errors.AsType[*handlers.Failure](reason); ok {
		p.metrics.parked(failure.Code)
		p.cfg.Logger.Warn("a message went to the poison queue",
			"stage", failure.Stage, "code", failure.Code, "detail", failure.Detail)
	}
	return nil
}

// onRetry gives the window back once an outage is more than a moment: the broker
// keeps the messages better than we do, and its consumer timeout does not run.
func (p *Pipeline) onRetry(err error, attempt int, elapsed, pause time.Duration) {
	p.metrics.retries.Inc()
	p.cfg.Logger.Warn("a batch is tried again", "err", err, "attempt", attempt, "elapsed", elapsed, "pause", pause)
	if elapsed >= p.cfg.OutageAfter {
		p.reason.Store(&relayState{err: err})
		p.subscriber.Rewind(fmt.Errorf("the database has been away for %s: %w", elapsed.Round(time.Second), err))
	}
}
