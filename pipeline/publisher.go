package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/handlers"
)

// Errors of a single publishing, for errors.Is.
var (
	// ErrUnroutable: the broker took it and no queue wanted it.
	ErrUnroutable = errors.New("no queue is bound for the event")
	// ErrNacked: the broker refused it, as a full queue does.
	ErrNacked = errors.New("the broker refused the event")
	// ErrUnconfirmed: the channel was lost or the confirm did not come in time,
	// so the broker may or may not have it.
	ErrUnconfirmed = errors.New("the broker did not confirm the event")
)

// PublisherConfig configures a Publisher.
type PublisherConfig struct {
	// Connection to publish on. Required, and not to be shared with consumers.
	Connection *Connection
	// Exchange to publish to. Default "", the exchange that routes by queue name.
	Exchange string
	// RoutingKey returns a message's routing key. Default: the topic.
	RoutingKey func(topic string, msg *message.Message) string
	// Marshaler makes the publishing. Default Marshaler{}.
	Marshaler wamqp.Marshaler
	// Prepare is called with each new channel, to look for or declare what is
	// published to. It may not use the channel for anything that can fail.
	// Default none.
	Prepare func(ctx context.Context) error
	// MaxOutstanding bounds the publishings that wait for their confirm. Default
	// 1000; the client library walks all of them on a confirm of several, so
	// more is slower.
	MaxOutstanding int
	// ConfirmTimeout is how long a confirm may take. Default 30 s.
	ConfirmTimeout time.Duration
	// Logger is required.
	Logger *slog.Logger
}

func (c *PublisherConfig) setDefaults() {
	if c.RoutingKey == nil {
		c.RoutingKey = func(topic string, _ *message.Message) string { return topic }
	}
	if c.Marshaler == nil {
		c.Marshaler = Marshaler{}
	}
	if c.Prepare == nil {
		c.Prepare = func(context.Context) error { return nil }
	}
	if c.MaxOutstanding == 0 {
		c.MaxOutstanding = 1000
	}
	if c.ConfirmTimeout == 0 {
		c.ConfirmTimeout = 30 * time.Second
	}
}

func (c *PublisherConfig) validate() error {
	var errs []error
	if c.Connection == nil {
		errs = append(errs, errors.New("Connection is required"))
	}
	if c.Logger == nil {
		errs = append(errs, errors.New("Logger is required"))
	}
	if c.MaxOutstanding < 1 {
		errs = append(errs, fmt.Errorf("MaxOutstanding is %d and must be at least 1", c.MaxOutstanding))
	}
	return errors.Join(errs...)
}

// Publisher publishes with confirms, many under way at a time:
//
//	publish 1, 2, 3 … ──▶ broker
//	                  ◀── return 2 (no queue)      a return always comes
//	                  ◀── ack 1–3                  before its ack
//
// Every publishing is mandatory, because the broker confirms what it throws away
// too. A message is published when its confirm has come and no return before it.
//
// Safe for concurrent use. Messages of one call are published in their order;
// calls at the same time interleave.
type Publisher struct {
	cfg    PublisherConfig
	tokens chan struct{}

	mu      sync.Mutex
	channel *publishChannel
	closed  bool
}

// publishChannel is one channel in confirm mode.
type publishChannel struct {
	ch      *amqp.Channel
	returns chan amqp.Return

	mu       sync.Mutex
	returned map[string]int // message id → returns not yet claimed
}

var _ message.Publisher = (*Publisher)(nil)

// NewPublisher checks the configuration; it connects at the first Publish.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("invalid publisher config: %w", err)
	}
	return &Publisher{cfg: cfg, tokens: make(chan struct{}, cfg.MaxOutstanding)}, nil
}

// Publish implements message.Publisher: it returns when every message is
// confirmed, or the errors of those that are not. The context of the first
// message bounds the wait.
func (p *Publisher) Publish(topic string, msgs ...*message.Message) error {
	if len(msgs) == 0 {
		return nil
	}
	return errors.Join(p.PublishEach(msgs[0].Context(), topic, msgs)...)
}

// PublishEach publishes messages in order and returns an error, or nil, for
// each. A message whose error is ErrUnconfirmed may have been published.
func (p *Publisher) PublishEach(ctx context.Context, topic string, msgs []*message.Message) []error {
	errs := make([]error, len(msgs))
	confirms := make([]*amqp.DeferredConfirmation, len(msgs))
	ctx, cancel := context.WithTimeoutCause(ctx, p.cfg.ConfirmTimeout,
		fmt.Errorf("%w within %s", ErrUnconfirmed, p.cfg.ConfirmTimeout))
	defer cancel()

	channel, err := p.open(ctx)
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	settled := 0
	settle := func(until int) {
		for ; settled < until; settled++ {
			if errs[settled] == nil {
				errs[settled] = p.await(ctx, channel, confirms[settled], msgs[settled].UUID)
				<-p.tokens
			}
		}
	}
	for i, msg := range msgs {
		select {
		case p.tokens <- struct{}{}:
		default:
			// The window is full. Waiting for our own oldest first keeps a call
			// that is longer than the window from waiting for itself.
			settle(i)
			p.tokens <- struct{}{}
		}
		if confirms[i], err = p.send(channel, topic, msg); err != nil {
			errs[i] = err
			<-p.tokens
		}
	}
	settle(len(msgs))
	return errs
}

// open returns the channel to publish on.
func (p *Publisher) open(ctx context.Context) (*publishChannel, error) {
	if err := p.cfg.Connection.Unblocked(ctx); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.New("the publisher is closed")
	}
	if p.channel != nil && !p.channel.ch.IsClosed() {
		return p.channel, nil
	}
	if err := p.cfg.Prepare(ctx); err != nil {
		return nil, err
	}
	ch, err := p.cfg.Connection.Channel(ctx)
	if err != nil {
		return nil, err
	}
	if err := ch.Confirm(false); err != nil {
		_ = ch.Close()
		return nil, fmt.Errorf("asking for publisher confirms: %w", err)
	}
	p.channel = &publishChannel{
		ch: ch,
		// At most one return for each outstanding publishing, and all are taken
		// out before its token is given back: the library never blocks on it.
		returns:  ch.NotifyReturn(make(chan amqp.Return, p.cfg.MaxOutstanding)),
		returned: map[string]int{},
	}
	return p.channel, nil
}

func (p *Publisher) send(channel *publishChannel, topic string, msg *message.Message) (*amqp.DeferredConfirmation, error) {
	publishing, err := p.cfg.Marshaler.Marshal(msg)
	if err != nil {
		return nil, fmt.Errorf("marshaling message %s: %w", msg.UUID, err)
	}
	confirm, err := channel.ch.PublishWithDeferredConfirm(p.cfg.Exchange, p.cfg.RoutingKey(topic, msg), true, false, publishing)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnconfirmed, err)
	}
	return confirm, nil
}

// await returns the outcome of one publishing.
func (p *Publisher) await(ctx context.Context, channel *publishChannel, confirm *amqp.DeferredConfirmation, id string) error {
	select {
	case <-confirm.Done():
	case <-ctx.Done():
		// Nothing tells whether it is still to come. With the channel gone the
		// broker cannot confirm behind our back, and the library forgets it.
		if errors.Is(context.Cause(ctx), ErrUnconfirmed) {
			p.cfg.Logger.Warn("no confirm from the broker in time, dropping the connection")
			p.cfg.Connection.Drop()
		}
		return fmt.Errorf("%w: %w", ErrUnconfirmed, context.Cause(ctx))
	}
	switch {
	case channel.claimReturn(id):
		return ErrUnroutable
	case confirm.Acked():
		return nil
	case channel.ch.IsClosed():
		// The library nacks whatever is outstanding when a channel closes.
		return ErrUnconfirmed
	default:
		return ErrNacked
	}
}

// claimReturn tells whether the message came back. It is called after the
// confirm, so a return is already in the channel.
func (c *publishChannel) claimReturn(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		select {
		case r, ok := <-c.returns:
			if ok {
				c.returned[r.MessageId]++
				continue
			}
		default:
		}
		break
	}
	if c.returned[id] == 0 {
		return false
	}
	if c.returned[id]--; c.returned[id] == 0 {
		delete(c.returned, id)
	}
	return true
}

// Close closes the channel, not the connection. Safe to call twice.
func (p *Publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.channel == nil || p.channel.ch.IsClosed() {
		return nil
	}
	if err := p.channel.ch.Close(); err != nil && !errors.Is(err, amqp.ErrClosed) {
		return fmt.Errorf("closing the publisher's channel: %w", err)
	}
	return nil
}

// NewDeliveryPublisher returns the publisher of events: to the delivery exchange,
// by the routing of the deployment.
func NewDeliveryPublisher(conn *Connection, t Topology, routing string, logger *slog.Logger) (*Publisher, error) {
	key := func(string, *message.Message) string { return "" }
	if routing == RoutingUser {
		key = func(_ string, msg *message.Message) string { return msg.Metadata.Get(handlers.MetadataUserID) }
	}
	return NewPublisher(PublisherConfig{
		Connection: conn,
		Exchange:   t.DeliveryExchange,
		RoutingKey: key,
		Prepare:    func(ctx context.Context) error { return t.EnsureDelivery(ctx, conn) },
		Logger:     logger,
	})
}
