package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
)

// taken returns the n messages that are in the input queue.
func (c *corner) taken(n int) []amqp.Delivery {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var got []amqp.Delivery
	c.onChannel(func(ch *amqp.Channel) {
		deliveries, err := ch.ConsumeWithContext(ctx, c.config().DatabaseQueueName, "", true, false, false, false, nil)
		require.NoError(c.t, err)
		for len(got) < n {
			d := receive(c.t, deliveries, "messages are missing in the queue")
			require.NotNil(c.t, d.Acknowledger, "%d of %d messages are in the queue", len(got), n)
			got = append(got, d)
		}
	})
	require.Zero(c.t, c.left(c.config().DatabaseQueueName))
	return got
}

func TestSendPublishesAsTheGatewayDoes(t *testing.T) {
	t.Parallel()
	c := newCorner(t)
	before := time.Now().UTC()
	got := c.execute(t.Context(), "", "send", "--chat", "7", "--from", "1", "--to", "2", "--body", "100% of \"it\" ü %d")
	require.Equal(t, exitOK, got.code, got.stderr)
	require.Empty(t, got.stdout)
	require.Contains(t, got.stderr, "1 message confirmed")

	d := c.taken(1)[0]
	require.Equal(t, "application/json", d.ContentType)
	require.Equal(t, "utf-8", d.ContentEncoding)
	require.Empty(t, d.MessageId)
	require.Empty(t, d.RoutingKey)
	require.Empty(t, d.Headers)
	var sent map[string]any
	require.NoError(t, json.Unmarshal(d.Body, &sent))
	require.NotEmpty(t, sent["client_message_id"])
	at, err := time.Parse("2006-01-02T15:04:05.000000Z", fmt.Sprint(sent["sent_at"]))
	require.NoError(t, err)
	require.WithinDuration(t, before, at, patience)
	delete(sent, "client_message_id")
	delete(sent, "sent_at")
	require.Equal(t, map[string]any{
		"id": nil, "chat_id": "7", "sender_id": 1.0, "recipient_id": 2.0, "delivered_at": nil,
		"body": "100% of \"it\" ü %d", "status": "sent", "is_edited": false, "is_deleted": false,
	}, sent)
}

func TestSendNumbersWhatItRepeats(t *testing.T) {
	t.Parallel()
	c := newCorner(t)
	got := c.execute(t.Context(), "", "send", "--chat", "7", "--from", "1", "--to", "2", "--body", "message %d of 1200",
		"--count", "1200", "--id", "x", "--sent-at", "2025-12-16T20:19:31.123456Z")
	require.Equal(t, exitOK, got.code, got.stderr)
	require.Contains(t, got.stderr, "1200 messages confirmed")
	for i, d := range c.taken(1200) {
		var sent outgoing
		require.NoError(t, json.Unmarshal(d.Body, &sent))
		require.Equal(t, fmt.Sprintf("x-%d", i+1), sent.ClientMessageID)
		require.Equal(t, fmt.Sprintf("message %d of 1200", i+1), sent.Body)
		require.Equal(t, "2025-12-16T20:19:31.123456Z", sent.SentAt)
	}
}

func TestSendPublishesLinesAsTheyAre(t *testing.T) {
	t.Parallel()
	c := newCorner(t)
	var lines []string
	for i := range 2500 { // more than one window
		lines = append(lines, fmt.Sprintf(`{"n": %d}`, i))
	}
	lines[7], lines[8] = "this is no JSON", "\x00\xff"
	lines[9] = strings.Repeat("long", 100_000)
	stdin := strings.Join(lines[:5], "\n") + "\n\n\n" + strings.Join(lines[5:], "\n") // and no end of the last
	got := c.execute(t.Context(), stdin, "send")
	require.Equal(t, exitOK, got.code, got.stderr)
	require.Contains(t, got.stderr, "2500 messages confirmed")
	for i, d := range c.taken(2500) {
		require.Equal(t, lines[i], string(d.Body))
	}
}

func TestSendIsCalledInAWrongWay(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"no chat":      {"--from", "1", "--to", "2", "--body", "x"},
		"no sender":    {"--chat", "7", "--to", "2", "--body", "x"},
		"no recipient": {"--chat", "7", "--from", "1", "--body", "x"},
		"no text":      {"--chat", "7", "--from", "1", "--to", "2"},
		"no message":   {"--chat", "7", "--from", "1", "--to", "2", "--body", "x", "--count", "0"},
		"no number":    {"--chat", "7", "--from", "me", "--to", "2", "--body", "x"},
		"a word":       {"hello"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := execute(t, nil, append([]string{"send"}, args...)...)
			require.Equal(t, exitUsage, got.code, got.stderr)
			require.Contains(t, got.stderr, "chat-messaging send --help")
		})
	}
}

func TestSendSaysWhatWasNotSent(t *testing.T) {
	t.Parallel()
	message := []string{"send", "--chat", "7", "--from", "1", "--to", "2", "--body", "x"}
	t.Run("the exchange is missing", func(t *testing.T) {
		t.Parallel()
		c := newCorner(t, "AMQP_DECLARE=false")
		got := c.execute(t.Context(), "", message...)
		require.Equal(t, exitFailed, got.code)
		require.Contains(t, got.stderr, c.config().PoisonQueueName)
		require.Contains(t, got.stderr, "does not exist")
		require.Contains(t, got.stderr, "0 messages confirmed")
	})
	t.Run("no queue is bound", func(t *testing.T) {
		t.Parallel()
		c := newCorner(t)
		require.Equal(t, exitOK, c.execute(t.Context(), "", message...).code)
		cfg := c.config()
		c.onChannel(func(ch *amqp.Channel) {
			require.NoError(t, ch.QueueUnbind(cfg.DatabaseQueueName, "", cfg.DatabaseExchangeName, nil))
		})
		c.environ = append(c.environ, "AMQP_DECLARE=false")
		got := c.execute(t.Context(), "", message...)
		require.Equal(t, exitFailed, got.code)
		require.Contains(t, got.stderr, "no queue is bound")
		require.Contains(t, got.stderr, "sending message 1")
	})
	t.Run("the broker is away", func(t *testing.T) {
		t.Parallel()
		got := execute(t, []string{"RABBITMQ_URL=amqp://u:hunter2@127.0.0.1:1/"}, message...)
		require.Equal(t, exitFailed, got.code)
		require.Contains(t, got.stderr, "connecting to the broker")
		require.NotContains(t, got.stderr, "hunter2")
	})
	t.Run("a line is too long", func(t *testing.T) {
		t.Parallel()
		c := newCorner(t)
		got := c.execute(t.Context(), "first\nsecond\n"+strings.Repeat("x", 5<<20), "send")
		require.Equal(t, exitFailed, got.code)
		require.Contains(t, got.stderr, "reading line 3")
		require.Contains(t, got.stderr, "2 messages confirmed")
	})
}
