package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"

	"chat-messaging/middleware"
)

// Why a message's context ends before it is settled. All are cancellations: the
// message is unfinished, not failed, and the broker delivers it again.
var (
	errChannelLost = fmt.Errorf("the channel that the message came on is gone: %w", context.Canceled)
	errRewound     = fmt.Errorf("the window was given back to the broker: %w", context.Canceled)
	errDrained     = fmt.Errorf("the subscriber was closed: %w", context.Canceled)
)

// SubscriberConfig configures a Subscriber.
type SubscriberConfig struct {
	// Connection to consume on. Required, and not to be shared with publishers.
	Connection *Connection
	// Prefetch is the window: how many deliveries may be unacknowledged. Default
	// 1000, at most 65535.
	Prefetch int
	// InFlight is how many messages are handed out at a time. Default Prefetch.
	// With 1 a handler sees the messages strictly one after the other, which is
	// what a consumer needs whose handler does not know of tickets.
	InFlight int
	// Group is how many deliveries may be handed out as one message, which then
	// carries them (see middleware.GroupFrom), if they have arrived already; no
	// delivery waits for another. For handlers that know of groups. Default 1:
	// each is a message of its own.
	Group int
	// Marshaler reads deliveries. Default Marshaler{}.
	Marshaler wamqp.Marshaler
	// Arrivals issues the tickets that messages carry. Default: no tickets.
	Arrivals *middleware.Arrivals
	// Prepare is called before each time that consuming begins: it looks for the
	// topology, and waits for whatever the handlers need. Default none.
	Prepare func(ctx context.Context, topic string) error
	// Exclusive keeps the queue to one consumer at a time, by the means that the
	// queue has. Default: shared.
	Exclusive bool
	// Lock is the means of a queue that has none. It returns nil if somebody
	// else has the lock. Required if Exclusive.
	Lock func(ctx context.Context, topic string) (Lock, error)
	// Gate pauses consumption while it is shut. Default: never.
	Gate *Gate
	// Drain is how long Close, and a gate that shuts, wait for messages that are
	// being handled. Default 10 s.
	Drain time.Duration
	// MaxPause is the longest pause before consuming begins again. The first is
	// a twentieth of a second, and they double for as long as nothing gets
	// acknowledged in between. Default 5 s.
	MaxPause time.Duration
	// OnState is called with each change. Default none.
	OnState func(State)
	// Logger is required.
	Logger *slog.Logger
}

// Lock is held for as long as Check succeeds.
type Lock interface {
	Check(ctx context.Context) error
	Close()
}

func (c *SubscriberConfig) setDefaults() {
	if c.Prefetch == 0 {
		c.Prefetch = 1000
	}
	if c.InFlight == 0 {
		c.InFlight = c.Prefetch
	}
	if c.Group == 0 {
		c.Group = 1
	}
	if c.Marshaler == nil {
		c.Marshaler = Marshaler{}
	}
	if c.Prepare == nil {
		c.Prepare = func(context.Context, string) error { return nil }
	}
	if c.Gate == nil {
		c.Gate = NewGate()
	}
	if c.Drain == 0 {
		c.Drain = 10 * time.Second
	}
	if c.MaxPause == 0 {
		c.MaxPause = 5 * time.Second
	}
	if c.OnState == nil {
		c.OnState = func(State) {}
	}
}

func (c *SubscriberConfig) validate() error {
	var errs []error
	if c.Connection == nil {
		errs = append(errs, errors.New("Connection is required"))
	}
	if c.Logger == nil {
		errs = append(errs, errors.New("Logger is required"))
	}
	if c.Prefetch < 1 || c.Prefetch > 65535 {
		errs = append(errs, fmt.Errorf("Prefetch is %d and must be from 1 to 65535", c.Prefetch))
	}
	if c.InFlight < 1 || c.InFlight > c.Prefetch {
		errs = append(errs, fmt.Errorf("InFlight is %d and must be from 1 to Prefetch", c.InFlight))
	}
	if c.Group < 1 || c.Group > c.Prefetch {
		errs = append(errs, fmt.Errorf("Group is %d and must be from 1 to Prefetch", c.Group))
	}
	if _, ours := c.Marshaler.(Marshaler); c.Group > 1 && !ours {
		errs = append(errs, errors.New("a Group needs the default Marshaler"))
	}
	if c.Exclusive && c.Lock == nil {
		errs = append(errs, errors.New("Lock is required for an exclusive subscriber"))
	}
	return errors.Join(errs...)
}

// Subscriber consumes a queue through a window of deliveries:
//
//	broker ══▶ window, up to Prefetch ══▶ router, a goroutine a message or group
//	              │ FIFO of slots             │ Ack / Nack
//	              ▼                           ▼
//	       acknowledge the longest run of settled messages, several at once
//
// Messages may be settled in any order; they are acknowledged in the order of
// arrival. A nack gives back the whole unacknowledged window: the channel is
// closed, the broker requeues in order, and consuming begins again. Returning a
// single message would put it behind its successors, and return at once.
//
// When a channel is lost the contexts of its messages end, they are never
// acknowledged anywhere else, and consuming begins again on a new channel. It
// goes on until Close or the end of the Subscribe context, however long the
// broker is away.
//
// Safe for concurrent use. One queue may be subscribed to more than once.
type Subscriber struct {
	cfg SubscriberConfig

	mu            sync.Mutex
	closed        bool
	closing       chan struct{}
	subscriptions sync.WaitGroup
	rewinds       map[*subscription]struct{}
}

var (
	_ message.Subscriber           = (*Subscriber)(nil)
	_ message.SubscribeInitializer = (*Subscriber)(nil)
)

// NewSubscriber checks the configuration; it connects at Subscribe.
func NewSubscriber(cfg SubscriberConfig) (*Subscriber, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("invalid subscriber config: %w", err)
	}
	return &Subscriber{cfg: cfg, closing: make(chan struct{}), rewinds: map[*subscription]struct{}{}}, nil
}

// SubscribeInitialize implements message.SubscribeInitializer: it prepares the
// topic without consuming.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	return s.cfg.Prepare(context.Background(), topic)
}

// Subscribe implements message.Subscriber; topic is the queue's name. It
// returns at once: a broker that is away is waited for in the background.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("the subscriber is closed")
	}
	sub := &subscription{
		cfg:     &s.cfg,
		topic:   topic,
		out:     make(chan *message.Message),
		closing: s.closing,
		rewind:  make(chan error, 1),
		logger:  s.cfg.Logger.With("queue", topic),
	}
	s.rewinds[sub] = struct{}{}
	s.subscriptions.Go(func() {
		defer func() {
			s.mu.Lock()
			delete(s.rewinds, sub)
			s.mu.Unlock()
		}()
		sub.run(ctx)
	})
	return sub.out, nil
}

// Rewind gives the unacknowledged window back to the broker and begins again
// behind Prepare: a pause for as long as that waits. reason is for the log.
func (s *Subscriber) Rewind(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sub := range s.rewinds {
		select {
		case sub.rewind <- reason:
		default:
		}
	}
}

// InHand is how many messages are handed out and not acknowledged.
func (s *Subscriber) InHand() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := 0
	for sub := range s.rewinds {
		if w := sub.window.Load(); w != nil {
			total += len(w.inFlight)
		}
	}
	return total
}

// Close stops consuming, waits up to Drain for the messages that were handed
// out, acknowledges them and ends every subscription. What was prefetched but
// not handed out goes back to the queue. Safe to call twice.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	s.subscriptions.Wait()
	return nil
}

// subscription is one Subscribe call.
type subscription struct {
	cfg     *SubscriberConfig
	topic   string
	out     chan *message.Message
	closing chan struct{}
	rewind  chan error
	logger  *slog.Logger
	window  atomic.Pointer[window] // nil while there is none

	exclusivity Exclusivity // how the queue is kept to one consumer, once inspected
	inspected   bool        // and the queue has not been away since
}

// run consumes on one channel after the other.
func (s *subscription) run(ctx context.Context) {
	defer close(s.out)
	defer s.cfg.OnState(Stopped)
	// Work that has not begun ends at once when the subscriber closes.
	begin, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-s.closing:
			cancel(errDrained)
		case <-begin.Done():
		}
	}()

	pauses := NewPauses(min(50*time.Millisecond, s.cfg.MaxPause), s.cfg.MaxPause)
	for begin.Err() == nil {
		round, end := s.cfg.Gate.pass(begin, func() { s.cfg.OnState(Paused) })
		progress, err := s.consume(ctx, round)
		end(nil)
		if begin.Err() != nil {
			return
		}
		if errors.Is(err, errPaused) || errors.Is(context.Cause(round), errPaused) {
			pauses.Reset()
			s.inspected = false
			continue
		}
		if progress {
			pauses.Reset()
		}
		pause := pauses.NextBackOff()
		if errors.Is(err, errStandby) {
			// Somebody else consumes: look again soon, so that a take-over is quick.
			pauses.Reset()
			pause = standbyInterval
		} else {
			s.inspected = false // whatever happened, the queue may be another one now
			s.logger.Warn("consuming was interrupted", "err", err, "pause", pause)
		}
		timer := time.NewTimer(pause)
		select {
		case <-begin.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}
