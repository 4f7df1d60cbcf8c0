package main

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// patience bounds every wait of an end-to-end test: far beyond what anything
// takes, so that only a real fault meets it.
const patience = 60 * time.Second

// brokerURL is the RabbitMQ that tests share.
func brokerURL() string {
	return cmp.Or(os.Getenv("RABBITMQ_URL"), "amqp://guest:guest@127.0.0.1:5672/")
}

// corner is one test's own part of the servers: a schema, and names for its
// exchanges and queues.
type corner struct {
	t        testing.TB
	broker   string
	database string
	db       *queries.DB
	environ  []string // makes the program work in this corner
}

// newCorner prepares a migrated corner on the shared servers. Further settings
// are assignments such as QUEUE_TYPE=classic.
func newCorner(t testing.TB, settings ...string) *corner {
	t.Helper()
	return newCornerAt(t, brokerURL(), queriestest.SchemaURL(t), settings...)
}

// newCornerAt prepares a corner on given servers; database is an empty schema.
func newCornerAt(t testing.TB, broker, database string, settings ...string) *corner {
	t.Helper()
	id := "t." + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	c := &corner{t: t, broker: broker, database: database, db: queriestest.Open(t, database, true)}
	c.environ = slices.Concat([]string{
		"DATABASE_URL=" + database, "RABBITMQ_URL=" + broker,
		"DATABASE_EXCHANGE_NAME=" + id + ".database", "DATABASE_QUEUE_NAME=" + id + ".primary",
		"POISON_QUEUE_NAME=" + id + ".poison", "DELIVERY_EXCHANGE_NAME=" + id + ".delivery",
		"HTTP_ADDR=127.0.0.1:0", goodKey, "PREFETCH=500", "BATCH_SIZE=250",
	}, settings)
	t.Cleanup(c.remove)
	return c
}

// config is what the program makes of the environment.
func (c *corner) config(settings ...string) Config {
	c.t.Helper()
	cfg, err := loadConfig(slices.Concat(c.environ, settings, []string{goodKey}), noFile)
	require.NoError(c.t, err)
	return cfg
}

func (c *corner) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := removeTopology(ctx, c.config()); err != nil {
		c.t.Logf("removing the test's queues: %v", err)
	}
}

// onChannel runs fn on a channel of its own connection.
func (c *corner) onChannel(fn func(*amqp.Channel)) {
	c.t.Helper()
	conn, err := amqp.Dial(c.broker)
	require.NoError(c.t, err, "no RabbitMQ for the tests: `make services` starts one; RABBITMQ_URL names another")
	defer func() { _ = conn.Close() }()
	// The library waits for a broker's answer without an end.
	defer time.AfterFunc(2*patience, func() { _ = conn.CloseDeadline(time.Now().Add(time.Second)) }).Stop()
	ch, err := conn.Channel()
	require.NoError(c.t, err)
	fn(ch)
}

// inspect returns how many messages wait in a queue, and how many consume it.
func (c *corner) inspect(queue string) (waiting, consumers int) {
	c.t.Helper()
	c.onChannel(func(ch *amqp.Channel) {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		require.NoError(c.t, err)
		waiting, consumers = q.Messages, q.Consumers
	})
	return waiting, consumers
}

// left returns how many messages are in a queue that nobody consumes any more:
// those that had not been acknowledged are back in it by then.
func (c *corner) left(queue string) int {
	c.t.Helper()
	left := 0
	eventually(c.t, "somebody still consumes "+queue, func() (done bool) {
		waiting, consumers := c.inspect(queue)
		left = waiting
		return consumers == 0
	})
	return left
}

// count returns the number of rows of a table.
func (c *corner) count(table string) int {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var n int
	require.NoError(c.t, c.db.GetContext(ctx, &n, "SELECT count(*) FROM "+table))
	return n
}

// waiting is how many events there are in the outbox.
func (c *corner) waiting() int {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var n int
	require.NoError(c.t, c.db.GetContext(ctx, &n, "SELECT COALESCE(sum(size), 0) FROM outbox"))
	return n
}

// send publishes bodies as the program does, and returns when all are confirmed.
func (c *corner) send(bodies ...string) {
	c.t.Helper()
	next := func() ([]byte, error) {
		if len(bodies) == 0 {
			return nil, io.EOF
		}
		body := []byte(bodies[0])
		bodies = bodies[1:]
		return body, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := sendAll(ctx, c.config(), testLogger(c.t), next)
	require.NoError(c.t, err)
}

// say is a message as the gateway sends it.
func say(t testing.TB, chat, id string, from, to int64, text string) string {
	t.Helper()
	o := sendOptions{chat: chat, from: from, to: to, body: text, count: 1, sentAt: "2025-12-16T20:19:31.123456Z"}
	body, err := o.message(id, 1)
	require.NoError(t, err)
	return string(body)
}

// eventually polls until done, and fails the test when patience ends. done runs
// in the test's own goroutine, so it may fail the test too.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-deadline.C:
			require.FailNow(t, what)
		case <-ticker.C:
		}
	}
}

// within is a context for what is done once, such as to start a server, also while
// the test is being cleaned up.
func within(t testing.TB, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// receive returns what comes next. A test that waits forever keeps all that the
// others have found from being told.
func receive[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case next := <-from:
		return next
	case <-time.After(patience):
		require.FailNow(t, what)
		panic("unreachable")
	}
}

func testLogger(t testing.TB) *slog.Logger {
	if !testing.Verbose() {
		return slog.New(slog.DiscardHandler)
	}
	return newLogger(os.Stderr, "info", "text").With("test", t.Name())
}

// execute runs the program in this process, in this corner. A long run has more
// patience.
func (c *corner) execute(ctx context.Context, stdin string, args ...string) result {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 5*patience)
	defer cancel()
	var stdout, stderr output
	code := run(ctx, args, strings.NewReader(stdin), &stdout, &stderr, c.environ)
	require.NoError(c.t, ctx.Err(), "the program does not end:\n%s\n%s", &stdout, &stderr)
	return result{code: code, stdout: stdout.String(), stderr: stderr.String()}
}
