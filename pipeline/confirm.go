package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/middleware/failpoint"
)

// publishChannel is one channel in confirm mode.
type publishChannel struct {
	ch      *amqp.Channel
	returns chan amqp.Return

	mu       sync.Mutex
	returned map[returnKey]int // returns not yet claimed
}

// returnKey is what a return tells of its publishing. One of them may be
// published twice in a window, to the same key or to another.
type returnKey struct{ routingKey, id string }

func newPublishChannel(ch *amqp.Channel, maxOutstanding int) *publishChannel {
	return &publishChannel{
		ch: ch,
		// At most one return for each outstanding publishing, and all are taken
		// out before its token is given back: the library never blocks on it.
		returns:  ch.NotifyReturn(make(chan amqp.Return, maxOutstanding)),
		returned: map[returnKey]int{},
	}
}

// claimReturn tells whether the publishing came back. It is called after the
// confirm, so a return is already in the channel.
func (c *publishChannel) claimReturn(key returnKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		select {
		case r, ok := <-c.returns:
			if ok {
				c.returned[returnKey{r.RoutingKey, r.MessageId}]++
				continue
			}
		default:
		}
		break
	}
	if c.returned[key] == 0 {
		return false
	}
	if c.returned[key]--; c.returned[key] == 0 {
		delete(c.returned, key)
	}
	return true
}

// publishCall is messages that are published together: what was sent and how it
// came out.
type publishCall struct {
	p        *Publisher
	sent     chan struct{}   // closed when nothing more is written
	done     chan struct{}   // closed when every outcome is known
	channel  *publishChannel // nil: none could be opened
	socket   *corkedConn
	topic    string
	msgs     []*message.Message
	errs     []error
	keys     []returnKey
	confirms []*amqp.DeferredConfirmation // nil: not sent
	settled  int                          // up to here the outcome is known
	silence  *time.Timer
}

func newPublishCall(p *Publisher, topic string, msgs []*message.Message) *publishCall {
	return &publishCall{
		p: p, sent: make(chan struct{}), done: make(chan struct{}), topic: topic, msgs: msgs,
		errs:     make([]error, len(msgs)),
		keys:     make([]returnKey, len(msgs)),
		confirms: make([]*amqp.DeferredConfirmation, len(msgs)),
	}
}

// run sends all messages, behind those of the call before, and waits for their
// confirms.
func (c *publishCall) run(ctx context.Context, before *publishCall) {
	defer close(c.done)
	var err error
	if c.channel, err = c.open(ctx, before); err != nil {
		for i := range c.errs {
			c.errs[i] = err
		}
		close(c.sent)
		return
	}
	c.socket = c.p.cfg.Connection.socket()
	c.silence = time.NewTimer(c.p.cfg.ConfirmTimeout)
	defer c.silence.Stop()
	// The write of a publishing hangs for as long as an alarm lasts once the
	// socket is full, and the library's knows no context.
	_ = c.p.cfg.Connection.await(ctx, func() error {
		c.send(ctx)
		close(c.sent)
		if c.topic != "" { // a queue's name: the delivery exchange needs none
			failpoint.Hit(failpoint.PoisonBeforeConfirm)
		}
		c.settle(ctx, len(c.msgs))
		return nil
	})
}

// open returns the channel to publish on.
func (c *publishCall) open(ctx context.Context, before *publishCall) (*publishChannel, error) {
	if before == nil {
		return c.p.open(ctx)
	}
	<-before.sent
	if before.channel == nil || before.channel.ch.IsClosed() {
		return nil, errNotBehind
	}
	if err := c.p.cfg.Connection.Unblocked(ctx); err != nil {
		return nil, err
	}
	return before.channel, nil
}

// errNotBehind: it was not sent, because those before it may be lost.
var errNotBehind = errors.New("the channel was lost before the event was published")

// send publishes all messages. The socket is corked meanwhile, but never while
// we wait for the broker: it cannot confirm what it has not got.
func (c *publishCall) send(ctx context.Context) {
	c.socket.cork()
	defer c.socket.uncork()
	for i := range c.msgs {
		if err := c.enter(ctx, i); err != nil {
			c.errs[i] = err
			continue
		}
		if c.errs[i] = c.publish(i); c.errs[i] != nil {
			<-c.p.tokens
		}
	}
}

// enter waits for room in the window.
func (c *publishCall) enter(ctx context.Context, i int) error {
	select {
	case c.p.tokens <- struct{}{}:
		return nil
	default:
	}
	c.socket.uncork()
	defer c.socket.cork()
	// Settling our own first keeps calls that are longer than the window from
	// waiting for themselves, or for each other.
	c.settle(ctx, i)
	select {
	case c.p.tokens <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for room in the window: %w", context.Cause(ctx))
	case <-c.p.closing.Done():
		return errPublisherClosed
	}
}

func (c *publishCall) publish(i int) error {
	msg := c.msgs[i]
	publishing, err := c.p.cfg.Marshaler.Marshal(msg)
	if err != nil {
		return fmt.Errorf("%w: marshaling message %s: %w", ErrUnsendable, msg.UUID, err)
	}
	key := c.p.cfg.RoutingKey(c.topic, msg)
	if err := checkPublishing(key, &publishing); err != nil {
		return fmt.Errorf("%w: publishing message %.300q: %w", ErrUnsendable, msg.UUID, err)
	}
	c.keys[i] = returnKey{key, publishing.MessageId}
	confirm, err := c.channel.ch.PublishWithDeferredConfirm(c.p.cfg.Exchange, key, true, false, publishing)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnconfirmed, err)
	}
	c.confirms[i] = confirm
	return nil
}

// settle waits for the outcomes of the messages before until.
func (c *publishCall) settle(ctx context.Context, until int) {
	for ; c.settled < until; c.settled++ {
		i := c.settled
		if c.confirms[i] == nil {
			continue
		}
		if err := c.await(ctx, i); err != nil {
			c.errs[i] = err
			// Its place in the window and its return, if any, are taken when the
			// confirm comes after all, or the channel goes.
			go c.forget(i)
			continue
		}
		c.errs[i] = c.outcome(i)
		<-c.p.tokens
	}
}

// await returns when the confirm has come, or an error when nobody waits for it
// any longer.
func (c *publishCall) await(ctx context.Context, i int) error {
	confirmed := c.confirms[i].Done()
	select {
	case <-confirmed: // the usual case under load, and the better news
		return nil
	default:
	}
	c.silence.Reset(c.p.cfg.ConfirmTimeout)
	for {
		select {
		case <-confirmed:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrUnconfirmed, context.Cause(ctx))
		case <-c.silence.C:
		}
		if !c.p.cfg.Connection.Blocked() {
			// Nothing tells whether it is still to come. With the connection gone
			// the broker cannot confirm behind our back.
			c.p.dropSilent(c.channel)
			return fmt.Errorf("%w within %s", ErrUnconfirmed, c.p.cfg.ConfirmTimeout)
		}
		// An alarm: cutting the connection would only publish the same again.
		if err := c.p.cfg.Connection.Unblocked(ctx); err != nil {
			return fmt.Errorf("%w: %w", ErrUnconfirmed, err)
		}
		c.silence.Reset(c.p.cfg.ConfirmTimeout)
	}
}

// outcome is read after the confirm.
func (c *publishCall) outcome(i int) error {
	switch {
	case c.channel.claimReturn(c.keys[i]) && !failpoint.Mutated(failpoint.IgnoreReturns):
		return ErrUnroutable
	case c.confirms[i].Acked():
		return nil
	case c.channel.ch.IsClosed():
		// The library nacks whatever is outstanding when a channel closes.
		return ErrUnconfirmed
	default:
		return ErrNacked
	}
}

// forget waits for a confirm that nobody needs any more.
func (c *publishCall) forget(i int) {
	<-c.confirms[i].Done()
	c.channel.claimReturn(c.keys[i])
	<-c.p.tokens
}

// dropSilent cuts the connection under a channel, unless it is gone already and
// there is perhaps another one.
func (p *Publisher) dropSilent(channel *publishChannel) {
	if channel.ch.IsClosed() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.channel != channel {
		return
	}
	p.channel = nil
	p.cfg.Logger.Warn("no confirm from the broker in time, dropping the connection")
	p.cfg.Connection.Drop()
}
