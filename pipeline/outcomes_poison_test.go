package pipeline_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
)

// A parked message can be looked at and put back: it has its body to the byte,
// its properties, its headers with their types, and where it came from and why it
// did not get further.
func TestAPoisonedMessageKeepsAllThatItCameWith(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sentAt := time.Date(2025, 12, 16, 20, 19, 31, 0, time.UTC)
	headers := amqp.Table{
		"text": "ü", "number": int64(7), "flag": true, "bytes": []byte{0, 255}, "nothing": nil,
		"list": []any{"a", int32(1)}, "table": amqp.Table{"deep": "down"}, "when": sentAt,
	}
	sent := amqp.Publishing{
		Headers:     amqp.Table{"CC": []any{"elsewhere"}, "x-poison-code": "a stranger's", "x-poison-mine": "a stranger's"},
		ContentType: "text/plain", ContentEncoding: "utf-8", DeliveryMode: amqp.Transient, Priority: 3,
		CorrelationId: "correlation", ReplyTo: "reply", Expiration: "3600000", MessageId: "the id", Timestamp: sentAt,
		Type: "a type", UserId: brokerUser(t), AppId: "an app", Body: []byte("\x00\xff not JSON"),
	}
	maps.Copy(sent.Headers, headers)
	before := time.Now()
	b.sendPublishings(sent)
	b.serve()
	got := b.poisoned(1)[0]

	require.Equal(t, sent.Body, got.Body)
	require.Equal(t, amqp.Persistent, got.DeliveryMode, "a copy survives whatever the original was")
	require.Empty(t, got.Expiration, "a copy does not vanish")
	require.Empty(t, got.UserId, "a copy is ours")
	for what, pair := range map[string][2]any{
		"content type":     {sent.ContentType, got.ContentType},
		"content encoding": {sent.ContentEncoding, got.ContentEncoding},
		"priority":         {sent.Priority, got.Priority},
		"correlation id":   {sent.CorrelationId, got.CorrelationId},
		"reply to":         {sent.ReplyTo, got.ReplyTo},
		"message id":       {sent.MessageId, got.MessageId},
		"timestamp":        {sent.Timestamp, got.Timestamp.UTC()},
		"type":             {sent.Type, got.Type},
		"app id":           {sent.AppId, got.AppId},
		"code":             {"encoding", got.Headers[pipeline.HeaderPoisonCode]},
		"stage":            {"validate", got.Headers[pipeline.HeaderPoisonStage]},
		"exchange":         {b.topology.DatabaseExchange, got.Headers[pipeline.HeaderPoisonExchange]},
		"routing key":      {"", got.Headers[pipeline.HeaderPoisonRoutingKey]},
		"queue":            {b.topology.DatabaseQueue, got.Headers[pipeline.HeaderPoisonQueue]},
		"sequence":         {int64(1), got.Headers[pipeline.HeaderPoisonSequence]},
		"expiration":       {sent.Expiration, got.Headers[pipeline.HeaderPoisonExpiration]},
		"user id":          {sent.UserId, got.Headers[pipeline.HeaderPoisonUserID]},
		"delivery mode":    {int32(amqp.Transient), got.Headers[pipeline.HeaderPoisonDeliveryMode]},
		"CC":               {[]any{"elsewhere"}, got.Headers[pipeline.HeaderPoisonCC]},
	} {
		require.Equal(t, pair[0], pair[1], what)
	}
	require.NotEmpty(t, got.Headers[pipeline.HeaderPoisonReason])
	require.NotContains(t, got.Headers, pipeline.HeaderPoisonDropped)
	require.NotContains(t, got.Headers, "x-poison-mine", "what a stranger says of poison is not repeated")
	require.NotContains(t, got.Headers, "CC", "a copy goes nowhere else")
	firstSeen, err := time.Parse(time.RFC3339Nano, fmt.Sprint(got.Headers[pipeline.HeaderPoisonFirstSeen]))
	require.NoError(t, err)
	require.WithinRange(t, firstSeen, before, time.Now())
	for key, value := range headers {
		if when, ok := got.Headers[key].(time.Time); ok {
			got.Headers[key] = when.UTC()
		}
		require.Equal(t, value, got.Headers[key], "header %s", key)
	}
}

// Headers that leave no room for ours in one frame would cost the connection.
func TestPoisonWithMoreHeadersThanFitIsParkedAllTheSame(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	headers := amqp.Table{}
	for i := range 120 {
		headers[fmt.Sprintf("h%03d", i)] = strings.Repeat("x", 1000)
	}
	b.sendPublishings(
		amqp.Publishing{Headers: headers, Body: []byte("not JSON")},
		amqp.Publishing{Body: []byte("not JSON either")},
	)
	b.serve()
	got := b.poisoned(2)
	// Copies are made side by side; the sequence tells which one came first.
	slices.SortFunc(got, func(a, b amqp.Delivery) int {
		return cmp.Compare(fmt.Sprint(a.Headers[pipeline.HeaderPoisonSequence]), fmt.Sprint(b.Headers[pipeline.HeaderPoisonSequence]))
	})
	dropped, ok := got[0].Headers[pipeline.HeaderPoisonDropped].(int32)
	require.True(t, ok, "how many are missing: %v", got[0].Headers[pipeline.HeaderPoisonDropped])
	kept := 0
	for key := range got[0].Headers {
		if !strings.HasPrefix(key, "x-poison-") {
			kept++
		}
	}
	require.Equal(t, len(headers), kept+int(dropped))
	require.Greater(t, kept, 50)
	require.Equal(t, "not JSON either", string(got[1].Body), "and the next one on the same connection")
}

// A message that has no id gets one in the poison queue, the same for the same
// delivery: a crash between the copy and the acknowledgement parks it again.
func TestTheIDOfAPoisonedMessageIsAFunctionOfItsContent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.send("not JSON", "not JSON", "nor this")
	b.serve()
	got := b.poisoned(3)
	require.NotEmpty(t, got[0].MessageId)
	ids := map[string]string{}
	for _, d := range got {
		ids[string(d.Body)+d.MessageId] = d.MessageId
	}
	require.Len(t, ids, 2, "one id for each body: %v", ids)
}
