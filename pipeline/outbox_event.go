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

// rowContext carries an outbox row in its message's context. As metadata its
// columns would be turned into text and back for every event.
type rowContext struct {
	context.Context //nolint:containedctx // it is a context
	row             *queries.OutboxRow
}

type rowKey struct{}

// Value implements context.Context.
func (c *rowContext) Value(key any) any {
	if key == (rowKey{}) {
		return c.row
	}
	return c.Context.Value(key)
}

func rowFrom(msg *message.Message) *queries.OutboxRow {
	row, _ := msg.Context().Value(rowKey{}).(*queries.OutboxRow)
	return row
}

// toMessage makes the event of a row into a message for the delivery publisher.
func toMessage(row *queries.OutboxRow) *message.Message {
	// Without the channels of message.NewMessage: what is published here is never
	// acknowledged as a message.
	msg := &message.Message{UUID: handlers.EventIDOf(row.EventID), Payload: row.Payload}
	msg.SetContext(&rowContext{Context: context.Background(), row: row})
	return msg
}

// eventMarshaler writes the publishing of an event by its row: the contract's
// properties and no headers.
type eventMarshaler struct{ Marshaler }

var _ wamqp.Marshaler = eventMarshaler{}

var errNoRow = errors.New("the message carries no outbox row")

// Marshal implements wamqp.Marshaler.
func (eventMarshaler) Marshal(msg *message.Message) (amqp.Publishing, error) {
	row := rowFrom(msg)
	if row == nil {
		return amqp.Publishing{}, errNoRow
	}
	failpoint.Hit(failpoint.RelayMidWindow)
	return amqp.Publishing{
		ContentType:     "application/json",
		ContentEncoding: "utf-8",
		DeliveryMode:    amqp.Persistent,
		MessageId:       msg.UUID,
		Timestamp:       row.CreatedAt,
		Type:            row.Name,
		Body:            msg.Payload,
	}, nil
}

// keyByUser is the routing key of RoutingUser.
func keyByUser(_ string, msg *message.Message) string {
	if row := rowFrom(msg); row != nil {
		return strconv.FormatInt(row.UserID, 10)
	}
	return ""
}
