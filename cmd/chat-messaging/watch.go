package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/spf13/cobra"

	"chat-messaging/handlers"
	"chat-messaging/middleware"
	"chat-messaging/pipeline"
)

// watchOptions are the flags of watch.
type watchOptions struct {
	users  []int64
	count  int
	idle   time.Duration
	output string
}

func newWatch(load settings) *cobra.Command {
	var o watchOptions
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Print events as they are dispatched",
		Long: `Print events as a dispatcher gets them, each id once. It listens on a queue of its
own, which vanishes a minute after it ends, so it takes nothing away from others.

With DELIVERY_ROUTING=user name the users whose events to watch.`,
		Example: `  chat-messaging watch
  chat-messaging watch --output json --count 1000 > events.ndjson
  DELIVERY_ROUTING=user chat-messaging watch --user 1 --user 2`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load("RABBITMQ_URL", "DELIVERY_EXCHANGE_NAME", "DELIVERY_ROUTING", "AMQP_DECLARE")
			if err != nil {
				return err
			}
			if err := o.check(cfg); err != nil {
				return err
			}
			w := &watcher{options: o, out: cmd.OutOrStdout()}
			err = w.watch(cmd.Context(), cfg, newLogger(cmd.ErrOrStderr(), "warn", "text"), nil)
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s, %d repeated dispatches dropped\n", counted(w.events, "event"), w.dropped)
			return err
		},
	}
	f := cmd.Flags()
	f.Int64SliceVar(&o.users, "user", nil, "with user routing: `id` of a user to watch, may be repeated")
	f.IntVar(&o.count, "count", 0, "end after this many events (default: at Ctrl-C)")
	f.DurationVar(&o.idle, "idle", 0, "end when nothing has come for this `long`")
	f.StringVarP(&o.output, "output", "o", "text", "text or json, one event a line")
	return cmd
}

func (o *watchOptions) check(cfg Config) error {
	switch {
	case o.output != "text" && o.output != "json":
		return usagef("--output must be text or json")
	case cfg.DeliveryRouting == pipeline.RoutingUser && len(o.users) == 0:
		return usagef("with DELIVERY_ROUTING=user name the users to watch with --user")
	case cfg.DeliveryRouting == pipeline.RoutingFanIn && len(o.users) > 0:
		return usagef("--user goes with DELIVERY_ROUTING=user")
	}
	return nil
}

// watcher is a dispatcher that prints. It is also the example of a service that
// reacts to events: typed handlers behind the deduplicating middleware.
type watcher struct {
	options watchOptions
	out     io.Writer
	events  int
	dropped int
	seen    chan struct{} // an event was printed
	done    func()
}

// watch prints until the context ends or the options say enough. ready, if not
// nil, is called once events can no longer be missed.
func (w *watcher) watch(ctx context.Context, cfg Config, logger *slog.Logger, ready func()) error {
	conn, err := pipeline.NewConnection(string(cfg.RabbitMQURL), program+" watch", logger)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	queue := program + ".watch." + uuid.NewString()
	keys := []string{""}
	if cfg.DeliveryRouting == pipeline.RoutingUser {
		keys = keys[:0]
		for _, id := range w.options.users {
			keys = append(keys, strconv.FormatInt(id, 10))
		}
	}
	subscriber, err := pipeline.NewSubscriber(pipeline.SubscriberConfig{
		Connection: conn,
		Prefetch:   1000,
		// One at a time: a dispatcher must keep the order of events.
		InFlight: 1,
		Prepare: func(ctx context.Context, queue string) error {
			return bindWatchQueue(ctx, conn, cfg.topology(), queue, keys)
		},
		OnState: func(s pipeline.State) {
			if s == pipeline.Consuming && ready != nil {
				ready()
				ready = nil
			}
		},
		Drain:  time.Second,
		Logger: logger,
	})
	if err != nil {
		return err
	}
	// The first try is ours to report: a wrong URL should not look like silence.
	if err := subscriber.SubscribeInitialize(queue); err != nil {
		return fmt.Errorf("listening for events: %w", err)
	}
	router, err := w.route(subscriber, queue, logger)
	if err != nil {
		return err
	}
	ctx, w.done = context.WithCancel(ctx)
	defer w.done()
	if w.options.idle > 0 {
		w.seen = make(chan struct{}, 1)
		go w.endWhenIdle(ctx)
	}
	err = router.Run(ctx)
	if err != nil {
		return fmt.Errorf("watching: %w", err)
	}
	return nil
}

// bindWatchQueue makes the watcher's queue. It outlives a lost connection, so
// that nothing is missed meanwhile, and expires by itself.
func bindWatchQueue(ctx context.Context, conn *pipeline.Connection, t pipeline.Topology, queue string, keys []string) error {
	if err := t.EnsureDelivery(ctx, conn); err != nil {
		return err
	}
	ch, err := conn.Channel(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }()
	if _, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-expires": int32(60_000)}); err != nil {
		return fmt.Errorf("making the queue to watch with: %w", err)
	}
	for _, key := range keys {
		if err := ch.QueueBind(queue, key, t.DeliveryExchange, false, nil); err != nil {
			return fmt.Errorf("binding the queue to watch with: %w", err)
		}
	}
	return nil
}

// route puts typed handlers behind the deduplicator.
func (w *watcher) route(subscriber message.Subscriber, queue string, logger *slog.Logger) (*message.Router, error) {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 5 * time.Second}, watermillLogger(logger))
	if err != nil {
		return nil, fmt.Errorf("making the router: %w", err)
	}
	dedup, err := middleware.NewDeduplicator(100_000, func(*message.Message) { w.dropped++ })
	if err != nil {
		return nil, err
	}
	router.AddMiddleware(dedup.Middleware)
	processor, err := cqrs.NewEventGroupProcessorWithConfig(router, cqrs.EventGroupProcessorConfig{
		GenerateSubscribeTopic: func(cqrs.EventGroupProcessorGenerateSubscribeTopicParams) (string, error) {
			return queue, nil
		},
		SubscriberConstructor: func(cqrs.EventGroupProcessorSubscriberConstructorParams) (message.Subscriber, error) {
			return subscriber, nil
		},
		// A later version of the service may have events that we do not know.
		AckOnUnknownEvent: true,
		Marshaler:         handlers.EventMarshaler{},
		Logger:            watermillLogger(logger),
	})
	if err != nil {
		return nil, fmt.Errorf("making the event processor: %w", err)
	}
	err = processor.AddHandlersGroup("watch",
		cqrs.NewGroupEventHandler(w.delivered),
		cqrs.NewGroupEventHandler(w.rejected),
	)
	if err != nil {
		return nil, fmt.Errorf("adding event handlers: %w", err)
	}
	return router, nil
}

func (w *watcher) delivered(ctx context.Context, e *handlers.MessageDelivered) error {
	return w.print(ctx, fmt.Sprintf("delivered  chat %d  #%-4d  %d → %d  %s  %q",
		e.ChatID, e.Seq, e.SenderID, e.RecipientID, e.ClientMessageID, e.Body))
}

func (w *watcher) rejected(ctx context.Context, e *handlers.MessageRejected) error {
	return w.print(ctx, fmt.Sprintf("rejected   chat %s  %s  %d → %d  %s  %q",
		e.ChatID, e.Code, e.SenderID, e.RecipientID, e.ClientMessageID, e.Reason))
}

func (w *watcher) print(ctx context.Context, text string) error {
	if w.options.output == "json" {
		msg := cqrs.OriginalMessageFromCtx(ctx)
		if msg == nil {
			return errors.New("the event's message is missing")
		}
		text = string(msg.Payload)
	}
	if _, err := fmt.Fprintln(w.out, text); err != nil {
		// Nobody reads us any more: that ends the watching, and is no fault of the
		// event's.
		w.done()
		return nil //nolint:nilerr // see above
	}
	w.events++
	if w.seen != nil {
		select {
		case w.seen <- struct{}{}:
		default:
		}
	}
	if w.events == w.options.count {
		w.done()
	}
	return nil
}

func (w *watcher) endWhenIdle(ctx context.Context) {
	timer := time.NewTimer(w.options.idle)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.seen:
			timer.Reset(w.options.idle)
		case <-timer.C:
			w.done()
			return
		}
	}
}
