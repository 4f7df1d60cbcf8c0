package contender_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/bench/contender"
	"chat-messaging/queries/queriestest"
)

// patience bounds every wait of a test.
const patience = 60 * time.Second

// ground is one test's own corner of the servers: queues, and a schema with a
// chat of the users 1 and 2.
type ground struct {
	t     *testing.T
	ch    *amqp.Channel
	setup contender.Setup
	chat  int64
}

func newGround(t *testing.T, queueType string) *ground {
	t.Helper()
	broker := os.Getenv("RABBITMQ_URL")
	if broker == "" {
		broker = "amqp://guest:guest@127.0.0.1:5672/"
	}
	conn, err := amqp.Dial(broker)
	require.NoError(t, err, "no RabbitMQ for the tests: `make services` starts one; RABBITMQ_URL names another")
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	require.NoError(t, err)
	require.NoError(t, ch.Confirm(false))

	name := "t." + uuid.NewString()[:13]
	g := &ground{t: t, ch: ch, setup: contender.Setup{
		Broker: broker, Database: queriestest.SchemaURL(t), QueueType: queueType,
		InputExchange: name + ".in", InputQueue: name + ".in.queue",
		PoisonQueue: name + ".poison", DeliveryExchange: name + ".out",
		Relay: contender.RelaySettings{Prefetch: 10},
		Stock: contender.StockSettings{Subscribers: 3, Prefetch: 5, Poll: 10 * time.Millisecond, Channels: 2},
	}}
	g.chat = queriestest.Chat(t, queriestest.Open(t, g.setup.Database, true), 1, 2)
	g.declare(g.setup.InputExchange, g.setup.InputQueue, contender.StockArguments(queueType, g.setup.PoisonQueue))
	g.declare(g.setup.DeliveryExchange, g.setup.DeliveryExchange+".queue", nil)
	return g
}

func (g *ground) declare(exchange, queue string, args amqp.Table) {
	g.t.Helper()
	require.NoError(g.t, g.ch.ExchangeDeclare(exchange, amqp.ExchangeDirect, true, false, false, false, nil))
	_, err := g.ch.QueueDeclare(queue, true, false, false, false, args)
	require.NoError(g.t, err)
	require.NoError(g.t, g.ch.QueueBind(queue, "", exchange, false, nil))
	g.t.Cleanup(func() {
		_, _ = g.ch.QueueDelete(queue, false, false, false)
		_ = g.ch.ExchangeDelete(exchange, false, false)
	})
}

// send puts n messages into the input queue.
func (g *ground) send(n int) {
	g.t.Helper()
	for i := range n {
		body := fmt.Sprintf(`{"client_message_id":"m%d","chat_id":"%d","sender_id":1,"recipient_id":2,`+
			`"sent_at":"2025-12-16T20:19:31.123456Z","body":"hello"}`, i, g.chat)
		confirm, err := g.ch.PublishWithDeferredConfirm(g.setup.InputExchange, "", true, false,
			amqp.Publishing{ContentType: "application/json", DeliveryMode: amqp.Persistent, Body: []byte(body)})
		require.NoError(g.t, err)
		require.True(g.t, confirm.Wait())
	}
}

// take reads n events and returns how often each message has one.
func (g *ground) take(n int) map[string]int {
	g.t.Helper()
	events, err := g.ch.Consume(g.setup.DeliveryExchange+".queue", "", true, false, false, false, nil)
	require.NoError(g.t, err)
	timeout := time.After(patience)
	found := map[string]int{}
	for range n {
		select {
		case event := <-events:
			var content struct {
				ClientMessageID string `json:"client_message_id"`
			}
			require.NoError(g.t, json.Unmarshal(event.Body, &content))
			require.Equal(g.t, amqp.Persistent, event.DeliveryMode)
			found[content.ClientMessageID]++
		case <-timeout:
			require.FailNow(g.t, "events are missing", "%d messages have one", len(found))
		}
	}
	return found
}

func (g *ground) stored() (n int) {
	g.t.Helper()
	db := queriestest.Open(g.t, g.setup.Database, false)
	require.NoError(g.t, db.GetContext(g.t.Context(), &n, `SELECT count(*) FROM messages`))
	return n
}

func TestRun(t *testing.T) {
	t.Parallel()
	const messages = 40
	for _, tc := range []struct {
		contender, queueType string
		stored               int
	}{
		{"relay", "classic", 0},
		{"relay", "quorum", 0},
		{"stock", "classic", messages},
		{"stock", "quorum", messages},
	} {
		t.Run(tc.contender+" drains a "+tc.queueType+" queue, each message once, and ends when asked to", func(t *testing.T) {
			t.Parallel()
			g := newGround(t, tc.queueType)
			g.send(messages)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ended := make(chan error, 1)
			go func() { ended <- contender.Run(ctx, tc.contender, g.setup, slog.New(slog.DiscardHandler)) }()

			found := g.take(messages)
			require.Len(t, found, messages)
			stop()
			select {
			case err := <-ended:
				require.NoError(t, err)
			case <-time.After(patience):
				require.FailNow(t, "it does not end")
			}
			queue, err := g.ch.QueueDeclarePassive(g.setup.InputQueue, true, false, false, false, nil)
			require.NoError(t, err)
			require.Zero(t, queue.Messages, "everything was acknowledged")
			require.Equal(t, tc.stored, g.stored())
		})
	}
	t.Run("refuses a contender that there is not", func(t *testing.T) {
		t.Parallel()
		err := contender.Run(t.Context(), "fastest", contender.Setup{}, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, "there are relay, stock")
	})
	t.Run("tells when there is no broker", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"relay", "stock"} {
			setup := contender.Setup{
				Broker: "amqp://127.0.0.1:1/", Database: "postgres://127.0.0.1:1/none",
				Stock: contender.StockSettings{Poll: time.Second},
			}
			require.ErrorContains(t, contender.Run(t.Context(), name, setup, slog.New(slog.DiscardHandler)), "connection refused")
		}
	})
}
