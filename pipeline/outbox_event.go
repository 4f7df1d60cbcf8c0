package pipeline

import (
	"context"
	"errors"
	"strconv"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/handlers"
	"chat-messaging/middleware/failpoint"
	"chat-messaging/queries"
)

// departure is an event on its way out of the outbox.
type departure struct {
	*queries.OutboxEvent
	row *queries.OutboxRow
}

// order is what an event must keep its place in: its chat, and for one that names
// no chat of ours the user it is for.
func (d *departure) order() int64 {
	if d.ChatID != 0 {
		return d.ChatID
	}
	return -d.UserID
}

// departureContext carries a departure in its message's context. As metadata its
// fields would be turned into text and back for every event.
type departureContext struct {
	context.Context //nolint:containedctx // it is a context
	departure       *departure
}

type departureKey struct{}

// Value implements context.Context.
func (c *departureContext) Value(key any) any {
	if key == (departureKey{}) {
		return c.departure
	}
	return c.Context.Value(key)
}

func departureFrom(msg *message.Message) *departure {
	d, _ := msg.Context().Value(departureKey{}).(*departure)
	return d
}

// toMessages makes events into messages for the delivery publisher.
func toMessages(departures []departure) []*message.Message {
	msgs := make([]*message.Message, len(departures))
	contexts := make([]departureContext, len(departures))
	for i := range departures {
		d := &departures[i]
		contexts[i] = departureContext{Context: context.Background(), departure: d}
		// Without the channels of message.NewMessage: what is published here is
		// never acknowledged as a message.
		msgs[i] = &message.Message{UUID: handlers.EventIDOf(d.ID), Payload: d.Payload}
		msgs[i].SetContext(&contexts[i])
	}
	return msgs
}

// eventMarshaler writes the publishing of an event by its place in the outbox: the
// contract's properties and no headers.
type eventMarshaler struct{ Marshaler }

var _ wamqp.Marshaler = eventMarshaler{}

var errNoDeparture = errors.New("the message carries no event of the outbox")

// Marshal implements wamqp.Marshaler.
func (eventMarshaler) Marshal(msg *message.Message) (amqp.Publishing, error) {
	d := departureFrom(msg)
	if d == nil {
		return amqp.Publishing{}, errNoDeparture
	}
	failpoint.Hit(failpoint.RelayMidWindow)
	return amqp.Publishing{
		ContentType:     "application/json",
		ContentEncoding: "utf-8",
		DeliveryMode:    amqp.Persistent,
		MessageId:       msg.UUID,
		Timestamp:       d.row.CreatedAt,
		Type:            d.Name,
		Body:            msg.Payload,
	}, nil
}

// keyByUser is the routing key of RoutingUser.
func keyByUser(_ string, msg *message.Message) string {
	if d := departureFrom(msg); d != nil {
		return strconv.FormatInt(d.UserID, 10)
	}
	return ""
}
