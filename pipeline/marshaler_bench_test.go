package pipeline_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/handlers"
	"chat-messaging/pipeline"
)

// BenchmarkMarshaler turns a message into a publishing, and a delivery into a
// message.
func BenchmarkMarshaler(b *testing.B) {
	payload := []byte(strings.Repeat("x", 300))
	b.Run("marshal", func(b *testing.B) {
		msg := message.NewMessage(uuid.NewString(), payload)
		msg.Metadata.Set(handlers.MetadataType, handlers.NameMessageDelivered)
		msg.Metadata.Set(handlers.MetadataTimestamp, "2025-12-16T20:19:31.123456Z")
		b.ReportAllocs()
		for b.Loop() {
			if _, err := (pipeline.Marshaler{}).Marshal(msg); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, bench := range []struct {
		name     string
		delivery amqp.Delivery
	}{
		{"from the gateway", amqp.Delivery{ContentType: "application/json", DeliveryTag: 4711, Body: payload}},
		{"an event", amqp.Delivery{
			ContentType: "application/json", DeliveryTag: 4711, MessageId: uuid.NewString(), Body: payload,
			Type: handlers.NameMessageDelivered, Timestamp: time.Unix(1765916371, 0),
		}},
	} {
		b.Run("unmarshal "+bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (pipeline.Marshaler{}).Unmarshal(bench.delivery); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
