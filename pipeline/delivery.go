package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/middleware"
)

// deliveryContext is the context of a consumed message. It ends when the message
// is settled or its channel is lost. A type of its own carries the values at the
// price of one allocation, and is registered with the window's context only if
// somebody waits for the end: of a thousand messages nobody does.
type deliveryContext struct {
	arrival
	window  context.Context //nolint:containedctx // it is a context
	ticket  *middleware.Ticket
	members []*message.Message // of a message that carries a group

	mu      sync.Mutex
	own     context.Context //nolint:containedctx // made by the first Done
	cancel  context.CancelFunc
	settled bool
}

// arrival is a delivery and when it came.
type arrival struct {
	delivery *amqp.Delivery // nil for a group, whose members have their own
	received time.Time
}

type deliveryKey struct{}

// settle ends the context.
func (c *deliveryContext) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled = true
	if c.cancel != nil {
		c.cancel()
	}
}

// Deadline implements context.Context.
func (c *deliveryContext) Deadline() (time.Time, bool) { return c.window.Deadline() }

// Done implements context.Context.
func (c *deliveryContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own == nil {
		c.own, c.cancel = context.WithCancel(c.window)
		if c.settled {
			c.cancel()
		}
	}
	return c.own.Done()
}

// Err implements context.Context.
func (c *deliveryContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own != nil {
		return c.own.Err() // never ahead of Done
	}
	if c.settled {
		return context.Canceled
	}
	return c.window.Err()
}

// Value implements context.Context.
func (c *deliveryContext) Value(key any) any {
	switch key {
	case deliveryKey{}:
		return &c.arrival
	case middleware.TicketKey():
		return c.ticket
	case middleware.GroupKey():
		return c.members
	}
	c.mu.Lock()
	inner := c.own
	c.mu.Unlock()
	if inner == nil {
		inner = c.window
	}
	return inner.Value(key)
}

// DeliveryFrom returns the delivery that a message came in, with its properties
// and headers untouched, and nil for a message that did not come from a
// Subscriber. It must not be acknowledged: the subscriber does that.
func DeliveryFrom(ctx context.Context) *amqp.Delivery {
	if a, ok := ctx.Value(deliveryKey{}).(*arrival); ok {
		return a.delivery
	}
	return nil
}

// receivedAt returns when the message's delivery arrived here.
func receivedAt(ctx context.Context) time.Time {
	if a, ok := ctx.Value(deliveryKey{}).(*arrival); ok {
		return a.received
	}
	return time.Now()
}
