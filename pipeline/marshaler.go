package pipeline

import (
	"fmt"
	"strconv"
	"time"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/handlers"
)

// Marshaler maps Watermill messages to AMQP and back, also for watermill-amqp's
// own publisher and subscriber:
//
//	message          publishing / delivery
//	UUID             message_id
//	Payload          body
//	Metadata type    type
//	Metadata timestamp (RFC 3339)   timestamp
//	other Metadata   string headers of the same name
//
// What it writes is persistent JSON. What it reads may be anything: it never
// fails, because a delivery that cannot be read here would come back for ever
// before any handler saw it. Headers that are not strings stay where they are, in
// the delivery that DeliveryFrom returns.
type Marshaler struct{}

var _ wamqp.Marshaler = Marshaler{}

// Marshal implements wamqp.Marshaler. It fails if a header would not fit into
// AMQP, which would cost the connection.
func (Marshaler) Marshal(msg *message.Message) (amqp.Publishing, error) {
	p := amqp.Publishing{
		ContentType:     "application/json",
		ContentEncoding: "utf-8",
		DeliveryMode:    amqp.Persistent,
		MessageId:       msg.UUID,
		Body:            msg.Payload,
	}
	if err := checkShortString("message id", msg.UUID); err != nil {
		return amqp.Publishing{}, err
	}
	for key, value := range msg.Metadata {
		switch key {
		case handlers.MetadataType:
			if err := checkShortString("type", value); err != nil {
				return amqp.Publishing{}, err
			}
			p.Type = value
		case handlers.MetadataTimestamp:
			t, err := time.Parse(time.RFC3339Nano, value)
			if err != nil {
				return amqp.Publishing{}, fmt.Errorf("reading the metadata %s: %w", key, err)
			}
			p.Timestamp = t
		case "CC", "BCC":
			return amqp.Publishing{}, fmt.Errorf("the header %s is the broker's own, and closes the channel if it is a text", key)
		case handlers.MetadataChatID, handlers.MetadataUserID:
			// For the outbox and the routing only.
		default:
			if err := checkShortString("metadata key", key); err != nil {
				return amqp.Publishing{}, err
			}
			if p.Headers == nil {
				p.Headers = amqp.Table{}
			}
			p.Headers[key] = value
		}
	}
	return p, nil
}

// Unmarshal implements wamqp.Marshaler. It never returns an error. A delivery
// without a message id gets one that is unique within its channel.
func (Marshaler) Unmarshal(d amqp.Delivery) (*message.Message, error) {
	msg := message.NewMessage(idOf(&d), d.Body)
	if described := metadataOf(&d); described != nil {
		msg.Metadata = described
	}
	return msg, nil
}

func idOf(d *amqp.Delivery) string {
	if d.MessageId != "" {
		return d.MessageId
	}
	return "delivery-" + strconv.FormatUint(d.DeliveryTag, 10)
}

// metadataOf is nil for a delivery that has nothing to say.
func metadataOf(d *amqp.Delivery) message.Metadata {
	if len(d.Headers) == 0 && d.Type == "" && d.Timestamp.IsZero() {
		return nil
	}
	metadata := make(message.Metadata, len(d.Headers)+2)
	for key, value := range d.Headers {
		if s, ok := value.(string); ok {
			metadata[key] = s
		}
	}
	if d.Type != "" {
		metadata[handlers.MetadataType] = d.Type
	}
	if !d.Timestamp.IsZero() {
		metadata[handlers.MetadataTimestamp] = d.Timestamp.UTC().Format(time.RFC3339Nano)
	}
	return metadata
}
