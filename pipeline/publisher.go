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
	// ErrUnsendable: it is no valid publishing, and never will be.
	ErrUnsendable = errors.New("the event cannot be published")
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
	// ConfirmTimeout is how long the broker may be silent while confirms are
	// waited for. The time of an alarm, in which it says so, is not counted.
	// Default 30 s.
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
	cfg     PublisherConfig
	tokens  chan struct{}
	opening chan struct{}   // holds a token while somebody opens a channel
	closing context.Context //nolint:containedctx // ended by Close
	end     context.CancelFunc

	mu      sync.Mutex
	channel *publishChannel
}

var _ message.Publisher = (*Publisher)(nil)

var errPublisherClosed = errors.New("the publisher is closed")

// NewPublisher checks the configuration; it connects at the first Publish.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("invalid publisher config: %w", err)
	}
	closing, end := context.WithCancel(context.Background())
	return &Publisher{
		cfg:     cfg,
		tokens:  make(chan struct{}, cfg.MaxOutstanding),
		opening: make(chan struct{}, 1),
		closing: closing,
		end:     end,
	}, nil
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
	c := newPublishCall(p, topic, msgs)
	c.run(ctx, nil)
	return c.errs
}

// begin is PublishEach that does not wait: the errors are those of the call once
// it is done. Its messages follow those of the call before it, if there is one, on
// the same channel or not at all: on another channel they could arrive although
// those before them are lost.
func (p *Publisher) begin(ctx context.Context, topic string, msgs []*message.Message, before *publishCall) *publishCall {
	c := newPublishCall(p, topic, msgs)
	go c.run(ctx, before)
	return c
}

// open returns the channel to publish on.
func (p *Publisher) open(ctx context.Context) (*publishChannel, error) {
	if !p.cfg.Connection.Blocked() {
		if channel, err := p.current(); channel != nil || err != nil {
			return channel, err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.closing, func() { cancel(errPublisherClosed) })()
	if err := p.cfg.Connection.Unblocked(ctx); err != nil {
		return nil, err
	}
	select {
	case p.opening <- struct{}{}:
		defer func() { <-p.opening }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for a channel: %w", context.Cause(ctx))
	}
	if channel, err := p.current(); channel != nil || err != nil {
		return channel, err
	}
	channel, err := p.prepare(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.channel = channel
	if p.closing.Err() != nil {
		// Close has missed it; the end of the connection takes it along.
		return nil, errPublisherClosed
	}
	return channel, nil
}

// current returns the channel if it is open, nil if one is to be opened.
func (p *Publisher) current() (*publishChannel, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing.Err() != nil {
		return nil, errPublisherClosed
	}
	if p.channel != nil && !p.channel.ch.IsClosed() {
		return p.channel, nil
	}
	return nil, nil //nolint:nilnil // documented: there is none
}

// prepare opens a channel in confirm mode.
func (p *Publisher) prepare(ctx context.Context) (*publishChannel, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.ConfirmTimeout)
	defer cancel()
	conn := p.cfg.Connection
	if err := p.cfg.Prepare(ctx); err != nil {
		return nil, err
	}
	ch, err := conn.Channel(ctx)
	if err != nil {
		return nil, err
	}
	if err := conn.await(ctx, func() error { return ch.Confirm(false) }); err != nil {
		_ = conn.closeChannel(ctx, ch)
		return nil, fmt.Errorf("asking for publisher confirms: %w", err)
	}
	return newPublishChannel(ch, p.cfg.MaxOutstanding), nil
}

// Close closes the channel, not the connection; what is still waiting for its
// confirm is ErrUnconfirmed. Safe to call twice.
func (p *Publisher) Close() error {
	p.end()
	p.mu.Lock()
	channel := p.channel
	p.mu.Unlock()
	if channel == nil || p.cfg.Connection.Blocked() {
		// A broker under an alarm answers no question before the alarm is over; the
		// end of the connection takes the channel along.
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerGrace)
	defer cancel()
	return p.cfg.Connection.closeChannel(ctx, channel.ch)
}

// NewDeliveryPublisher returns the publisher of events: to the delivery exchange,
// by the routing of the deployment.
func NewDeliveryPublisher(conn *Connection, t Topology, routing string, logger *slog.Logger) (*Publisher, error) {
	key := func(string, *message.Message) string { return "" }
	if routing == RoutingUser {
		key = keyByUser
	}
	return NewPublisher(PublisherConfig{
		Connection: conn,
		Exchange:   t.DeliveryExchange,
		RoutingKey: key,
		Marshaler:  eventMarshaler{},
		Prepare:    func(ctx context.Context) error { return t.EnsureDelivery(ctx, conn) },
		Logger:     logger,
	})
}
