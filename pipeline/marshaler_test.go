package pipeline_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"chat-messaging/handlers"
	"chat-messaging/pipeline"
)

func TestAMessageBecomesPersistentJSON(t *testing.T) {
	t.Parallel()
	msg := message.NewMessage("the id", []byte(`{}`))
	msg.Metadata = message.Metadata{
		handlers.MetadataType: "delivered", handlers.MetadataTimestamp: "2025-12-16T20:19:31.123456Z",
		handlers.MetadataChatID: "7", handlers.MetadataUserID: "1", "traceparent": "00-1",
	}
	p, err := pipeline.Marshaler{}.Marshal(msg)
	require.NoError(t, err)
	require.Equal(t, amqp.Publishing{
		ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp.Persistent, MessageId: "the id",
		Type: "delivered", Timestamp: time.Date(2025, 12, 16, 20, 19, 31, 123456000, time.UTC),
		Headers: amqp.Table{"traceparent": "00-1"}, Body: []byte(`{}`),
	}, p)
}

func TestAMessageWithoutMetadataHasNoHeaders(t *testing.T) {
	t.Parallel()
	p, err := pipeline.Marshaler{}.Marshal(message.NewMessage("", nil))
	require.NoError(t, err)
	require.Empty(t, p.Headers)
	require.True(t, p.Timestamp.IsZero())
}

func TestWhatAMQPCannotCarryIsNotMarshaled(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 256)
	for name, change := range map[string]func(*message.Message){
		"a long id":          func(m *message.Message) { m.UUID = long },
		"an id that is not":  func(m *message.Message) { m.UUID = "\xff" },
		"a long type":        func(m *message.Message) { m.Metadata.Set(handlers.MetadataType, long) },
		"a long header name": func(m *message.Message) { m.Metadata.Set(long, "") },
		"a bad time":         func(m *message.Message) { m.Metadata.Set(handlers.MetadataTimestamp, "noon") },
		"a CC that is text":  func(m *message.Message) { m.Metadata.Set("CC", "elsewhere") },
		"a BCC that is text": func(m *message.Message) { m.Metadata.Set("BCC", "elsewhere") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			msg := message.NewMessage("1", nil)
			change(msg)
			_, err := pipeline.Marshaler{}.Marshal(msg)
			require.Error(t, err)
		})
	}
}

func TestADeliveryWithoutAnIdGetsOne(t *testing.T) {
	t.Parallel()
	one, err := pipeline.Marshaler{}.Unmarshal(amqp.Delivery{DeliveryTag: 1})
	require.NoError(t, err)
	two, err := pipeline.Marshaler{}.Unmarshal(amqp.Delivery{DeliveryTag: 2})
	require.NoError(t, err)
	require.NotEmpty(t, one.UUID)
	require.NotEqual(t, one.UUID, two.UUID)
}

func TestOnlyTextsBecomeMetadata(t *testing.T) {
	t.Parallel()
	msg, err := pipeline.Marshaler{}.Unmarshal(amqp.Delivery{Headers: amqp.Table{
		"text": "x", "number": int64(1), "table": amqp.Table{"a": "b"}, "nil": nil, "bytes": []byte("b"), "list": []any{"a"},
	}})
	require.NoError(t, err)
	require.Equal(t, message.Metadata{"text": "x"}, msg.Metadata)
}

// What we write we read.
func TestAMessageComesBackAsItWent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringN(0, 20, 200)
		msg := message.NewMessage("id"+text.Draw(rt, "id"), []byte(text.Draw(rt, "payload")))
		for key, value := range rapid.MapOfN(rapid.StringMatching(`[a-z-]{1,12}`), text, 0, 5).Draw(rt, "metadata") {
			switch key {
			case handlers.MetadataTimestamp, handlers.MetadataChatID, handlers.MetadataUserID, handlers.MetadataType:
			default:
				msg.Metadata.Set(key, value)
			}
		}
		if kind := text.Draw(rt, "type"); kind != "" {
			msg.Metadata.Set(handlers.MetadataType, kind)
		}
		at := time.Unix(rapid.Int64Range(1, 4e9).Draw(rt, "time"), 0).UTC()
		msg.Metadata.Set(handlers.MetadataTimestamp, at.Format(time.RFC3339Nano))

		p, err := pipeline.Marshaler{}.Marshal(msg)
		require.NoError(rt, err)
		back, err := pipeline.Marshaler{}.Unmarshal(amqp.Delivery{
			Headers: p.Headers, MessageId: p.MessageId, Timestamp: p.Timestamp, Type: p.Type, Body: p.Body,
		})
		require.NoError(rt, err)
		require.True(rt, msg.Equals(back), "%v became %v", msg, back)
	})
}
