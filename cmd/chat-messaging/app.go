package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"chat-messaging/handlers"
	"chat-messaging/http"
	"chat-messaging/pipeline"
	"chat-messaging/pipeline/poison"
	"chat-messaging/queries"
)

// App owns every part of the running service. Life cycle: newApp, Listen, Run.
type App struct {
	cfg      Config
	logger   *slog.Logger
	db       *queries.DB
	consume  *pipeline.Connection // nil without the pipeline
	publish  *pipeline.Connection // nil without pipeline, relay and poison
	pipeline *pipeline.Pipeline   // nil unless in COMPONENTS
	relay    *pipeline.Relay      // nil unless in COMPONENTS
	delivery *pipeline.Publisher  // the relay's
	inspect  *pipeline.Connection // asks for the depth of queues, when somebody wants to know
	metrics  *pipeline.Metrics
	server   *http.Server
	hints    chan struct{} // commits that a relay elsewhere should hear of
	tracer   trace.Tracer
	flush    func(context.Context) // sends the last spans

	collect   *pipeline.Connection // these three nil unless poison is in COMPONENTS
	collector *poison.Collector
	worker    *poison.Worker
}

// newApp puts the parts together by COMPONENTS. Nothing is connected yet.
func newApp(cfg Config, logger *slog.Logger) (*App, error) {
	a := &App{cfg: cfg, logger: logger, hints: make(chan struct{}, 1)}
	var err error
	if a.db, err = queries.Open(queries.Config{URL: string(cfg.DatabaseURL)}); err != nil {
		return nil, err
	}
	traces, flush, err := newTracing(string(cfg.CollectorURL), logger)
	if err != nil {
		return nil, err
	}
	a.tracer, a.flush = traces.Tracer(program), flush
	policy, err := loadPolicy(cfg.PolicyFile)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if a.metrics, err = pipeline.NewMetrics(registry); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	if a.inspect, err = pipeline.NewConnection(string(cfg.RabbitMQURL), program+" inspect", logger); err != nil {
		return nil, err
	}
	if err := a.addComponents(policy, registry); err != nil {
		return nil, err
	}
	a.server, err = http.New(a.httpConfig(registry, policy))
	return a, err
}

func (a *App) httpConfig(registry *prometheus.Registry, policy http.Policy) http.Config {
	cfg := a.cfg
	return http.Config{
		Addr:           cfg.HTTPAddr,
		Logger:         a.logger,
		Ready:          a.checks(),
		Metrics:        registry,
		API:            cfg.Has(componentHTTP),
		DB:             a.db,
		Policy:         policy,
		Algorithm:      cfg.Algorithm,
		Key:            string(cfg.Key),
		AllowShortKey:  cfg.KeyAllowShort,
		JWKSURL:        string(cfg.JWKSURL),
		AuthBackendURL: string(cfg.AuthBackendURL),
		CORSOrigins:    append([]string{}, cfg.CORSOrigins...),
		RateLimit:      cfg.RESTRateLimit,
		Operators:      cfg.operators(),
		RoleClaim:      cfg.ConsoleRoleClaim,
		InputQueue:     cfg.DatabaseQueueName,
		Queues:         cfg.queues(a.inspect),
		EventID:        eventID,
		Inspect:        cfg.inspector(),
		Settings:       cfg.Redacted(),
		Versions:       readBuild().settings(),
	}
}

// addComponents makes what COMPONENTS names, but for the server, which there is in
// any case.
func (a *App) addComponents(policy handlers.Decider, registry *prometheus.Registry) error {
	if a.cfg.Has(componentPipeline) || a.cfg.Has(componentRelay) || a.cfg.Has(componentPoison) {
		var err error
		if a.publish, err = pipeline.NewConnection(string(a.cfg.RabbitMQURL), program+" publish", a.logger); err != nil {
			return err
		}
	}
	if a.cfg.Has(componentRelay) {
		if err := a.addRelay(); err != nil {
			return err
		}
	}
	if a.cfg.Has(componentPipeline) {
		if err := a.addPipeline(policy); err != nil {
			return err
		}
	}
	if a.cfg.Has(componentPoison) {
		return a.addPoison(registry)
	}
	return nil
}

func loadPolicy(file string) (*handlers.Policy, error) {
	if file == "" {
		return handlers.DefaultPolicy()
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading POLICY_FILE: %w", err)
	}
	policy, err := handlers.NewPolicy(text)
	if err != nil {
		return nil, fmt.Errorf("reading POLICY_FILE %s: %w", file, err)
	}
	return policy, nil
}

func (c Config) topology() pipeline.Topology {
	return pipeline.Topology{
		DatabaseExchange: c.DatabaseExchangeName,
		DatabaseQueue:    c.DatabaseQueueName,
		PoisonQueue:      c.PoisonQueueName,
		DeliveryExchange: c.DeliveryExchangeName,
		QueueType:        c.QueueType,
		Declare:          c.AMQPDeclare,
	}
}

func (a *App) addRelay() error {
	var err error
	if a.delivery, err = pipeline.NewDeliveryPublisher(a.publish, a.cfg.topology(), a.cfg.DeliveryRouting, a.logger); err != nil {
		return err
	}
	a.relay, err = pipeline.NewRelay(pipeline.RelayConfig{
		DB: a.db, Publisher: a.delivery, Routing: a.cfg.DeliveryRouting, Observe: a.metrics, Tracer: a.tracer, Logger: a.logger,
	})
	return err
}

func (a *App) addPipeline(policy handlers.Decider) error {
	var err error
	if a.consume, err = pipeline.NewConnection(string(a.cfg.RabbitMQURL), program+" consume", a.logger); err != nil {
		return err
	}
	a.pipeline, err = pipeline.New(pipeline.Config{
		DB:           a.db,
		Consume:      a.consume,
		Publish:      a.publish,
		Topology:     a.cfg.topology(),
		Policy:       policy,
		Migrated:     a.migrated,
		Committed:    a.committed,
		Metrics:      a.metrics,
		Tracer:       a.tracer,
		Logger:       a.logger,
		RouterLogger: watermillLogger(a.logger),
		Limits:       handlers.Limits{MaxBodyBytes: a.cfg.MaxBodyBytes},
		Prefetch:     a.cfg.Prefetch,
		BatchSize:    a.cfg.BatchSize,
		BatchLinger:  a.cfg.BatchLinger,
		Grace:        a.cfg.ShutdownGrace / 2,
	})
	return err
}

// committed tells the relay of a commit: our own directly, another process's by a
// notification, because then it would find out by the clock only.
func (a *App) committed(rows []queries.OutboxRow) {
	if a.relay != nil && a.relay.Leading() {
		a.relay.Offer(rows)
		return
	}
	select {
	case a.hints <- struct{}{}:
	default:
	}
}

// Listen binds the HTTP address; URL is known afterwards.
func (a *App) Listen() error { return a.server.Listen() }

// URL is where a client on this machine finds the service.
func (a *App) URL() string { return a.server.URL() }

// Run serves until the context ends, drains, and returns nil; or it returns why
// a part ended by itself. Listen comes first.
func (a *App) Run(ctx context.Context) error {
	parts, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var workers sync.WaitGroup
	stop := func() { cancel(); workers.Wait() }
	poisonContext, stopPoison := context.WithCancel(background)
	defer stopPoison()

	parts.Go(a.server.Serve)
	workers.Go(func() { a.sendHeartbeats(background) })
	if a.pipeline != nil {
		parts.Go(a.pipeline.Run)
		workers.Go(func() { a.sendHints(background) })
	}
	if a.relay != nil {
		workers.Go(func() { a.relay.Run(background) })
		workers.Go(func() { a.hearHints(background) })
	}
	a.runPoison(poisonContext, &workers)
	a.logger.Info("serving", "url", a.URL(), "components", a.cfg.Components.String())

	select {
	case <-ctx.Done():
		a.logger.Info("draining", "grace", a.cfg.ShutdownGrace)
	case <-failed.Done():
	}
	stopPoison() // it ends meanwhile, and close waits for it
	ended := make(chan error, 1)
	go func() { ended <- a.end(parts, stop) }()
	select {
	case err := <-ended:
		return err
	case <-time.After(a.cfg.ShutdownGrace + lastGrace):
		return errors.New("servers that do not answer keep the service from ending in order, so it is broken off: " +
			"the broker delivers again what was in hand")
	}
}

// lastGrace is how much longer than SHUTDOWN_GRACE the end may take: to give up
// what is not finished by then also means to wait for answers, a while each.
const lastGrace = 3 * time.Second

// end closes all parts and returns why one of them had ended by itself, if so.
func (a *App) end(parts *errgroup.Group, stopBackground func()) error {
	closeErr := a.close(stopBackground)
	if err := parts.Wait(); err != nil {
		return err
	}
	if closeErr != nil {
		// Whatever was cut off comes again: the broker has it.
		a.logger.Warn("not everything was finished in time", "err", closeErr)
	}
	a.logger.Info("stopped")
	return nil
}

// close ends the parts within the grace period. The order: no more intake, and
// what is in hand is committed; the events of that are dispatched; requests in
// progress are answered; then the connections that all of them used.
func (a *App) close(stopBackground func()) error {
	ctx, cancel := context.WithTimeout(context.Background(), a.cfg.ShutdownGrace)
	defer cancel()
	var errs []error
	if a.pipeline != nil {
		errs = append(errs, a.pipeline.Close())
	}
	if a.relay != nil {
		if err := a.relay.Drain(ctx); err != nil {
			// The time is over, and the relay would give the window that it has in
			// hand some more. Without the connection there is nothing to wait for.
			errs = append(errs, err, a.publish.Close())
		}
	}
	errs = append(errs, a.server.Shutdown(ctx))
	stopBackground()
	if a.delivery != nil {
		errs = append(errs, a.delivery.Close())
	}
	for _, c := range []*pipeline.Connection{a.consume, a.collect, a.publish, a.inspect} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	errs = append(errs, a.db.Close())
	a.flush(ctx)
	return errors.Join(errs...)
}

// sendHints passes wake-ups on, as many at a time as come.
func (a *App) sendHints(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.hints:
			limited, cancel := context.WithTimeout(ctx, 2*time.Second)
			if err := a.db.NotifyOutbox(limited); err != nil && ctx.Err() == nil {
				a.logger.Debug("the relay could not be notified; it finds the events by the clock", "err", err)
			}
			cancel()
		}
	}
}

// hearHints wakes the relay for commits of other processes. Without it the
// relay finds them by the clock.
func (a *App) hearHints(ctx context.Context) {
	if err := a.db.ListenOutbox(ctx, a.relay.Wake); err != nil && ctx.Err() == nil {
		a.logger.Warn("the relay hears of other processes' events by the clock only", "err", err)
	}
}
