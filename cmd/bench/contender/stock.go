package contender

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	wsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"

	"chat-messaging/queries"
)

// outboxTopic names the stock outbox table.
const outboxTopic = "events"

// stock is the pipeline that Watermill's documentation leads to:
//
//	stock subscribers ──▶ router ──▶ handler: one transaction a message,
//	                                 its event into the stock outbox
//	stock SQL subscriber ──▶ stock forwarder ──▶ stock publisher, confirmed
//
// The parts have their own defaults but for what Setup tunes.
type stock struct {
	setup  Setup
	db     *queries.DB
	logger watermill.LoggerAdapter
}

func runStock(ctx context.Context, setup Setup, logger *slog.Logger) error {
	// The same driver settings as the service's: they help here too.
	db, err := queries.Open(queries.Config{URL: setup.Database, MaxConns: setup.Stock.Subscribers + 4})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	s := &stock{setup: setup, db: db, logger: watermill.NewSlogLogger(logger)}
	forward, err := s.newForwarder()
	if err != nil {
		return err
	}
	router, err := s.newRouter()
	if err != nil {
		return err
	}
	return runBoth(ctx, forward, router)
}

// runBoth runs until the context ends, and then ends the router first: what it
// still finishes is the forwarder's to forward.
func runBoth(ctx context.Context, forward *forwarder.Forwarder, router *message.Router) error {
	background := context.WithoutCancel(ctx)
	parts, failed := errgroup.WithContext(background)
	parts.Go(func() error { return forward.Run(background) })
	select {
	case <-forward.Running(): // the outbox exists
		parts.Go(func() error { return router.Run(background) })
	case <-failed.Done():
	}
	select {
	case <-ctx.Done():
	case <-failed.Done():
	}
	err := errors.Join(router.Close(), forward.Close())
	return errors.Join(parts.Wait(), err)
}

func (s *stock) newForwarder() (*forwarder.Forwarder, error) {
	subscriber, err := wsql.NewSubscriber(s.db.DB.DB, wsql.SubscriberConfig{
		SchemaAdapter:    wsql.DefaultPostgreSQLSchema{},
		OffsetsAdapter:   wsql.DefaultPostgreSQLOffsetsAdapter{},
		PollInterval:     s.setup.Stock.Poll,
		ResendInterval:   s.setup.Stock.Poll,
		RetryInterval:    s.setup.Stock.Poll,
		InitializeSchema: true,
	}, s.logger)
	if err != nil {
		return nil, fmt.Errorf("making the subscriber of the outbox: %w", err)
	}
	publisher, err := wamqp.NewPublisher(s.amqpConfig(), s.logger)
	if err != nil {
		return nil, fmt.Errorf("making the publisher of events: %w", err)
	}
	forward, err := forwarder.NewForwarder(subscriber, publisher, s.logger, forwarder.Config{ForwarderTopic: outboxTopic})
	if err != nil {
		return nil, fmt.Errorf("making the forwarder: %w", err)
	}
	return forward, nil
}

func (s *stock) newRouter() (*message.Router, error) {
	router, err := message.NewRouter(message.RouterConfig{}, s.logger)
	if err != nil {
		return nil, fmt.Errorf("making the router: %w", err)
	}
	router.AddMiddleware(middleware.Retry{MaxRetries: 3, Logger: s.logger}.Middleware, middleware.Recoverer)
	for i := range s.setup.Stock.Subscribers {
		// One each: a stock subscriber has one message under way at a time.
		subscriber, err := wamqp.NewSubscriber(s.amqpConfig(), s.logger)
		if err != nil {
			return nil, fmt.Errorf("making a subscriber: %w", err)
		}
		router.AddConsumerHandler("messages "+strconv.Itoa(i), s.setup.InputQueue, subscriber, s.handle)
	}
	return router, nil
}

// amqpConfig is the stock configuration with the names of this deployment.
func (s *stock) amqpConfig() wamqp.Config {
	c := wamqp.NewDurableQueueConfig(s.setup.Broker)
	c.Queue.Arguments = StockArguments(s.setup.QueueType, s.setup.PoisonQueue)
	c.Consume.Qos.PrefetchCount = s.setup.Stock.Prefetch
	c.Exchange.GenerateName = func(topic string) string {
		if topic == s.setup.InputQueue {
			return s.setup.InputExchange
		}
		return topic
	}
	c.Exchange.Type, c.Exchange.Durable = amqp.ExchangeDirect, true
	c.Publish.GenerateRoutingKey = func(string) string { return "" }
	c.Publish.ConfirmDelivery = true
	c.Publish.ChannelPoolSize = s.setup.Stock.Channels
	return c
}

// StockArguments are those of the input queue for the stock pipeline. They are
// the service's own but for the single active consumer, which would leave all
// but one of the stock subscribers idle.
func StockArguments(queueType, poisonQueue string) amqp.Table {
	args := amqp.Table{
		"x-queue-type":              queueType,
		"x-dead-letter-exchange":    "",
		"x-dead-letter-routing-key": poisonQueue,
	}
	if queueType == amqp.QueueTypeQuorum {
		args["x-delivery-limit"] = int32(1_000_000)
	}
	return args
}

// handle stores a message and its event in one transaction.
func (s *stock) handle(msg *message.Message) error {
	var m wireMessage
	if err := json.Unmarshal(msg.Payload, &m); err != nil {
		return fmt.Errorf("decoding a message: %w", err)
	}
	if err := m.validate(); err != nil {
		return err
	}
	ctx := msg.Context()
	tx, err := s.db.BeginTxx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning the transaction: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	event, err := store(ctx, tx, m)
	if err != nil || event == nil {
		return err
	}
	if err := s.publish(tx, event); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// publish puts the event into the stock outbox, within the transaction.
func (s *stock) publish(tx wsql.ContextExecutor, event *wireEvent) error {
	payload, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("encoding the event: %w", err)
	}
	outbox, err := wsql.NewPublisher(tx, wsql.PublisherConfig{SchemaAdapter: wsql.DefaultPostgreSQLSchema{}}, s.logger)
	if err != nil {
		return fmt.Errorf("making the publisher of the outbox: %w", err)
	}
	publisher := forwarder.NewPublisher(outbox, forwarder.PublisherConfig{ForwarderTopic: outboxTopic})
	if err := publisher.Publish(s.setup.DeliveryExchange, message.NewMessage(watermill.NewUUID(), payload)); err != nil {
		return fmt.Errorf("publishing to the outbox: %w", err)
	}
	return nil
}
