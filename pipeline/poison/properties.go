package poison

import (
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/pipeline"
)

// properties are those of the original message, as they are kept and shown.
type properties struct {
	ContentType     text       `json:"content_type,omitempty"`
	ContentEncoding text       `json:"content_encoding,omitempty"`
	DeliveryMode    uint8      `json:"delivery_mode,omitempty"`
	Priority        uint8      `json:"priority,omitempty"`
	CorrelationID   text       `json:"correlation_id,omitempty"`
	ReplyTo         text       `json:"reply_to,omitempty"`
	Expiration      text       `json:"expiration,omitempty"`
	MessageID       text       `json:"message_id,omitempty"`
	Timestamp       *time.Time `json:"timestamp,omitempty"`
	Type            text       `json:"type,omitempty"`
	UserID          text       `json:"user_id,omitempty"`
	AppID           text       `json:"app_id,omitempty"`
}

// propertiesOf reads those that the copy has as they were.
func propertiesOf(d *amqp.Delivery) properties {
	p := properties{
		ContentType: text(d.ContentType), ContentEncoding: text(d.ContentEncoding), DeliveryMode: d.DeliveryMode,
		Priority: d.Priority, CorrelationID: text(d.CorrelationId), ReplyTo: text(d.ReplyTo), Expiration: text(d.Expiration),
		MessageID: text(d.MessageId), Type: text(d.Type), UserID: text(d.UserId), AppID: text(d.AppId),
	}
	if !d.Timestamp.IsZero() {
		at := d.Timestamp.UTC()
		p.Timestamp = &at
	}
	return p
}

// restore undoes what parking has changed.
func (p *properties) restore(headers amqp.Table) {
	p.MessageID = text(textHeader(headers, pipeline.HeaderPoisonMessageID))
	p.Expiration = text(textHeader(headers, pipeline.HeaderPoisonExpiration))
	p.UserID = text(textHeader(headers, pipeline.HeaderPoisonUserID))
	p.DeliveryMode = uint8(intHeader(headers, pipeline.HeaderPoisonDeliveryMode)) //nolint:gosec // it was one
}

// publishing returns the properties of a replay: all but those that would lose it
// (transient, expiring) or have the broker refuse it (another's user id).
func (p *properties) publishing() amqp.Publishing {
	out := amqp.Publishing{
		ContentType: string(p.ContentType), ContentEncoding: string(p.ContentEncoding), DeliveryMode: amqp.Persistent,
		Priority: p.Priority, CorrelationId: string(p.CorrelationID), ReplyTo: string(p.ReplyTo),
		MessageId: string(p.MessageID), Type: string(p.Type), AppId: string(p.AppID),
	}
	if p.Timestamp != nil {
		out.Timestamp = *p.Timestamp
	}
	return out
}

func textHeader(headers amqp.Table, key string) string {
	s, _ := headers[key].(string)
	return s
}

func intHeader(headers amqp.Table, key string) int64 {
	switch n := headers[key].(type) {
	case int32:
		return int64(n)
	case int64:
		return n
	case uint8:
		return int64(n)
	default:
		return 0
	}
}
