package pipeline

import (
	"context"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/middleware"
)

// deliveryContext is the context of a consumed message. A type of its own
// carries both values at the price of one allocation.
type deliveryContext struct {
	context.Context //nolint:containedctx // it is a context
	delivery        *amqp.Delivery
	received        time.Time
	ticket          *middleware.Ticket
}

type deliveryKey struct{}

// Value implements context.Context.
func (c *deliveryContext) Value(key any) any {
	switch key {
	case deliveryKey{}:
		return c
	case middleware.TicketKey():
		return c.ticket
	}
	return c.Context.Value(key)
}

// DeliveryFrom returns the delivery that a message came in, with its properties
// and headers untouched, and nil for a message that did not come from a
// Subscriber. It must not be acknowledged: the subscriber does that.
func DeliveryFrom(ctx context.Context) *amqp.Delivery {
	if c, ok := ctx.Value(deliveryKey{}).(*deliveryContext); ok {
		return c.delivery
	}
	return nil
}

// receivedAt returns when the message's delivery arrived here.
func receivedAt(ctx context.Context) time.Time {
	if c, ok := ctx.Value(deliveryKey{}).(*deliveryContext); ok {
		return c.received
	}
	return time.Now()
}
