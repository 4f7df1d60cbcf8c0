package poison_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
	"chat-messaging/pipeline/poison"
	"chat-messaging/queries"
)

var topology = pipeline.Topology{DatabaseExchange: "database", DatabaseQueue: "database.primary", PoisonQueue: "poison"}

func long(n int) string { return strings.Repeat("x", n) }

func TestWhatThePipelineParkedIsReadBack(t *testing.T) {
	t.Parallel()
	id, at := uuid.New(), time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.UTC)
	n := poison.EntryOf(&amqp.Delivery{
		ContentType: "application/json", MessageId: "made of its content", DeliveryMode: amqp.Persistent, Body: []byte("{"),
		Headers: amqp.Table{
			pipeline.HeaderPoisonID: id.String(), pipeline.HeaderPoisonCode: "malformed_json", pipeline.HeaderPoisonStage: "validate",
			pipeline.HeaderPoisonReason: "not JSON at byte 1", pipeline.HeaderPoisonExchange: "in", pipeline.HeaderPoisonRoutingKey: "key",
			pipeline.HeaderPoisonQueue: "queue", pipeline.HeaderPoisonFirstSeen: at.Format(time.RFC3339Nano),
			pipeline.HeaderPoisonSequence: int64(9), pipeline.HeaderPoisonDeliveryMode: int32(1), pipeline.HeaderPoisonExpiration: "60000",
			pipeline.HeaderPoisonUserID: "guest", pipeline.HeaderPoisonGeneration: int32(2), pipeline.HeaderPoisonAttempt: int32(3),
			pipeline.HeaderPoisonCC: []any{"elsewhere"}, "x-delivery-count": int64(4), "own": int16(1),
		},
	}, topology, time.Now())
	require.Equal(t, id, n.PoisonID)
	require.Equal(t, []string{"malformed_json", "validate", "not JSON at byte 1", "in", "key", "queue"},
		[]string{n.Code, n.Stage, n.Detail, n.Exchange, n.RoutingKey, n.Queue})
	require.Equal(t, at, n.FirstSeen)
	require.Equal(t, []int64{9, 2, 3}, []int64{n.Sequence, int64(n.Generation), int64(n.Attempt)})
	require.JSONEq(t, `{"content_type":"application/json","delivery_mode":1,"expiration":"60000","user_id":"guest"}`, string(n.Properties),
		"the original had no message id")
	require.JSONEq(t, `{"own":{"type":"int16","value":1},
		"x-poison-cc":{"type":"array","value":[{"type":"string","value":"elsewhere"}]}}`, string(n.Headers))
}

func TestAReplayIsTheOriginalButForWhatWouldLoseIt(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	delivery := &amqp.Delivery{
		Headers: amqp.Table{
			"own": int16(1), "x-poison-cc": []any{"elsewhere"}, "x-death": []any{amqp.Table{"reason": "maxlen"}}, "x-first-death-reason": "maxlen",
		},
		ContentType: "text/plain", ContentEncoding: "utf-8", DeliveryMode: amqp.Transient, Priority: 3, CorrelationId: "c",
		ReplyTo: "r", Expiration: "60000", MessageId: "\xff", Timestamp: at, Type: "t", UserId: "guest", AppId: "a", Body: []byte("\x00"),
	}
	n := poison.EntryOf(delivery, topology, time.Now())
	m := &queries.PoisonedMessage{
		Poisoned: queries.Poisoned{PoisonID: n.PoisonID, Attempts: 2}, Properties: n.Properties, Headers: n.Headers, Body: n.Body,
	}
	p, err := poison.ReplayOf(m)
	require.NoError(t, err)
	require.Equal(t, amqp.Publishing{
		Headers: amqp.Table{
			"own": int16(1), pipeline.HeaderPoisonID: n.PoisonID.String(), pipeline.HeaderReplayCount: int32(2),
		},
		ContentType: "text/plain", ContentEncoding: "utf-8", DeliveryMode: amqp.Persistent, Priority: 3, CorrelationId: "c",
		ReplyTo: "r", MessageId: "\xff", Timestamp: at, Type: "t", AppId: "a", Body: []byte("\x00"),
	}, p)

	m.EditedBody, m.EditedAt = []byte("mended"), &at
	m.Properties = []byte(`{}`)
	p, err = poison.ReplayOf(m)
	require.NoError(t, err)
	require.Equal(t, "mended", string(p.Body))
	require.Equal(t, n.PoisonID.String(), p.MessageId)

	m.Properties = []byte(`[]`)
	_, err = poison.ReplayOf(m)
	require.Error(t, err)
	m.Properties, m.Headers = []byte(`{}`), []byte(`{"a":{}}`)
	_, err = poison.ReplayOf(m)
	require.Error(t, err)
}

func TestDeadLettersAndStrangersAreEntriesToo(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	death := amqp.Table{
		"reason": "maxlen", "queue": "database.primary", "exchange": "gateway", "routing-keys": []any{"key", "cc"}, "time": at, "count": int64(1),
	}
	n := poison.EntryOf(&amqp.Delivery{Headers: amqp.Table{"x-death": []any{death}}, DeliveryTag: 4}, topology, time.Now())
	require.Equal(t, []string{"dead_lettered_maxlen", "broker", "gateway", "key", "database.primary"},
		[]string{n.Code, n.Stage, n.Exchange, n.RoutingKey, n.Queue})
	require.Equal(t, at, n.FirstSeen)
	require.Zero(t, n.Attempt)

	id := uuid.New()
	n = poison.EntryOf(&amqp.Delivery{Headers: amqp.Table{
		"x-death": []any{death}, pipeline.HeaderPoisonID: id.String(), pipeline.HeaderReplayCount: int32(2),
	}}, topology, time.Now())
	require.Equal(t, id, n.PoisonID, "a replay that the broker gave up comes back")
	require.Equal(t, 2, n.Attempt)

	now := time.Now()
	stranger := &amqp.Delivery{Headers: amqp.Table{"x-death": "no list", pipeline.HeaderPoisonID: "no id"}, Redelivered: true, DeliveryTag: 1}
	n = poison.EntryOf(stranger, topology, now)
	require.Equal(t, []string{"foreign", "database", ""}, []string{n.Code, n.Exchange, n.RoutingKey})
	require.Equal(t, 1, n.Generation)
	require.Equal(t, n.PoisonID, poison.EntryOf(stranger, topology, now).PoisonID)
	stranger.DeliveryTag = 2
	require.NotEqual(t, n.PoisonID, poison.EntryOf(stranger, topology, now).PoisonID)
}
