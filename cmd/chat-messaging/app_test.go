package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/queries/queriestest"
)

// runningApp is the service in this process.
type runningApp struct {
	t     testing.TB
	url   string
	stop  context.CancelFunc
	ended chan error
}

// run starts the very App that serve runs, on a free port.
func (c *corner) run(settings ...string) *runningApp {
	c.t.Helper()
	return c.runLogging(testLogger(c.t), settings...)
}

// runLogging is run with a logger of the test's choice.
func (c *corner) runLogging(logger *slog.Logger, settings ...string) *runningApp {
	c.t.Helper()
	app, err := newApp(c.config(settings...), logger)
	require.NoError(c.t, err)
	require.NoError(c.t, app.Listen())
	ctx, cancel := context.WithCancel(context.Background())
	r := &runningApp{t: c.t, url: app.URL(), stop: cancel, ended: make(chan error, 1)}
	go func() {
		r.ended <- app.Run(ctx)
		close(r.ended)
	}()
	c.t.Cleanup(r.drain)
	return r
}

// drain ends the service and waits, which must not be an error. It may be called
// twice.
func (r *runningApp) drain() {
	r.t.Helper()
	r.stop()
	require.NoError(r.t, receive(r.t, r.ended, "the service does not drain"))
}

func TestAConversationPassesThroughTheService(t *testing.T) {
	t.Parallel()
	for _, queueType := range []string{"classic", "quorum"} {
		t.Run(queueType, func(t *testing.T) {
			t.Parallel()
			c := newCorner(t, "QUEUE_TYPE="+queueType)
			chat := fmt.Sprint(queriestest.Chat(t, c.db, 1, 2))
			r, app := c.record(queueType), c.run()
			require.Equal(t, http.StatusOK, status(t, app.url+"/healthz"))
			awaitReady(t, app.url)

			c.send(say(t, chat, "a", 1, 2, "Hello"), say(t, chat, "b", 2, 1, "Hi"), say(t, chat, "c", 3, 1, "Let me in"))
			events := r.first(3)
			require.Len(t, events, 3)
			for i, want := range []dispatched{
				{ClientMessageID: "a", SenderID: 1, RecipientID: 2, Body: "Hello", Status: "delivered", Seq: 1, Type: "delivered"},
				{ClientMessageID: "b", SenderID: 2, RecipientID: 1, Body: "Hi", Status: "delivered", Seq: 2, Type: "delivered"},
				{
					ClientMessageID: "c", SenderID: 3, RecipientID: 1, Body: "Let me in", Status: "rejected",
					RejectCode: "not_related", Type: "rejected",
				},
			} {
				want.ID, want.ChatID, want.EventID, want.Raw = events[i].ID, chat, events[i].EventID, events[i].Raw
				require.Equal(t, want, events[i])
			}
			require.Equal(t, map[string]float64{`code="",outcome="accepted"`: 2, `code="not_related",outcome="rejected"`: 1},
				metric(t, app.url, "chat_messaging_outcomes_total"))

			app.drain()
			require.Zero(t, c.left(c.config().DatabaseQueueName))
			require.Zero(t, c.count("outbox"))
		})
	}
}

// A drain in the midst of a run finishes what is in hand: each message is either
// stored, acknowledged and dispatched, or still in the queue, untouched.
func TestADrainFinishesWhatIsInHand(t *testing.T) {
	t.Parallel()
	for _, queueType := range []string{"classic", "quorum"} {
		t.Run(queueType, func(t *testing.T) {
			t.Parallel()
			c := newCorner(t, "QUEUE_TYPE="+queueType, "PREFETCH=100", "BATCH_SIZE=20")
			const n = 2000
			o, r := newOracle(c, newRandom(t), n), c.record(queueType)
			app := c.run()
			awaitReady(t, app.url)
			sent := make(chan error, 1)
			go func() { sent <- o.send(t.Context(), n, func() int { return n }) }()
			r.await(n / 10)
			app.drain()
			o.awaitSent(sent)

			stored := c.count("messages")
			waiting := c.left(c.config().DatabaseQueueName)
			require.Equal(t, n, stored+waiting, "a message is stored or waits, and never both")
			require.Zero(t, c.count("outbox"))
			t.Logf("%d stored, %d wait", stored, waiting)

			app = c.run()
			r.await(n)
			app.drain()
			o.requireStored(t)
			require.Zero(t, o.requireDispatched(t, r.all()), "without a fault no event is dispatched twice")
			o.requireNothingLeft(t)
		})
	}
}

// The pipeline in one process wakes the relay in another one: an event does not
// wait for the relay's clock.
func TestThePartsRunInProcessesOfTheirOwn(t *testing.T) {
	t.Parallel()
	c := newCorner(t)
	chat := fmt.Sprint(queriestest.Chat(t, c.db, 1, 2))
	r := c.record("classic")
	pipeline, relay := c.run("COMPONENTS=pipeline"), c.run("COMPONENTS=relay")
	awaitReady(t, pipeline.url)
	awaitReady(t, relay.url)
	require.Equal(t, http.StatusNotFound, status(t, relay.url+"/chats/get-chats"), "there is no API without http")

	const messages = 15
	var took []time.Duration
	for i := range messages {
		body := say(t, chat, fmt.Sprint(i), 1, 2, "Hello")
		stored := make(chan time.Time, 1)
		go func() {
			for c.count("messages") <= i {
				wait(t.Context(), time.Millisecond)
			}
			stored <- time.Now()
		}()
		c.send(body)
		began := receive(t, stored, "the message is not stored")
		r.await(i + 1)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	// A message is sent when the one before it is out, so by the clock alone each
	// would take all of the relay's 250 ms.
	require.Less(t, took[messages/2], 125*time.Millisecond, "%v", took)
	require.Empty(t, metric(t, relay.url, "chat_messaging_outcomes_total"))
	require.Empty(t, metric(t, pipeline.url, "chat_messaging_events_total"))
}

// A service whose servers are away says so, waits, and needs no restart.
func TestTheServersMayComeLater(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"broker", "database"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCorner(t)
			chat := fmt.Sprint(queriestest.Chat(t, c.db, 1, 2))
			r := c.record("classic")
			setting, address := "RABBITMQ_URL", c.broker
			if name == "database" {
				setting, address = "DATABASE_URL", c.database
			}
			line := newLine(t, address)
			line.proxy.Stop()
			app := c.run(setting + "=" + line.url)
			awaitNotReady(t, app.url, name, "connection refused")
			require.Equal(t, http.StatusOK, status(t, app.url+"/healthz"))
			awaitNotReady(t, app.url, "pipeline", "connection refused")

			c.send(say(t, chat, "a", 1, 2, "Hello"))
			require.NoError(t, line.proxy.Start())
			awaitReady(t, app.url)
			require.Equal(t, "a", r.first(1)[0].ClientMessageID)
			app.drain()
		})
	}
}

// A service that waits for its servers ends when it is told to.
func TestAServiceWithoutServersDrains(t *testing.T) {
	t.Parallel()
	c := newCorner(t, "SHUTDOWN_GRACE=2s")
	broker, database := newLine(t, c.broker), newLine(t, c.database)
	broker.proxy.Stop()
	database.proxy.Stop()
	app := c.run("RABBITMQ_URL="+broker.url, "DATABASE_URL="+database.url)
	awaitNotReady(t, app.url, "broker", "connection refused")
	began := time.Now()
	app.drain()
	require.Less(t, time.Since(began), 10*time.Second)
}
