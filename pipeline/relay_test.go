package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// relayName is the lock of the one relay of a schema.
const relayName = "chat-messaging relay"

// relayed is a relay at work, with what it told.
type relayed struct {
	*pipeline.Relay
	b                           *bench
	stop                        func()
	confirmed, unroutable, held atomic.Int64
}

// Dispatched implements pipeline.RelayObserver.
func (r *relayed) Dispatched(confirmed, unroutable int, _ time.Duration) {
	r.confirmed.Add(int64(confirmed))
	r.unroutable.Add(int64(unroutable))
}

// Held implements pipeline.RelayObserver.
func (r *relayed) Held(events int) { r.held.Add(int64(events)) }

// relay runs a relay until the end of the test.
func (b *bench) relay(change ...func(*pipeline.RelayConfig)) *relayed {
	b.t.Helper()
	return b.relayAt(b.broker, change...)
}

func (b *bench) relayAt(broker string, change ...func(*pipeline.RelayConfig)) *relayed {
	b.t.Helper()
	t := b.t
	conn, err := pipeline.NewConnection(broker, "test relay", b.logger)
	require.NoError(t, err)
	publisher, err := pipeline.NewDeliveryPublisher(conn, b.topology, b.routing, b.logger)
	require.NoError(t, err)
	r := &relayed{b: b}
	cfg := pipeline.RelayConfig{
		DB: queriestest.Open(t, b.database, false), Publisher: publisher, Routing: b.routing, Observe: r,
		Poll: 10 * time.Millisecond, Sweep: 100 * time.Millisecond, Standby: 50 * time.Millisecond, Logger: b.logger,
	}
	for _, fn := range change {
		fn(&cfg)
	}
	r.Relay, err = pipeline.NewRelay(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	r.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		_ = publisher.Close()
		_ = conn.Close()
	})
	t.Cleanup(r.stop)
	return r
}

// put commits n events for a user, and returns their ids.
func (b *bench) put(chat, user int64, n int) []string {
	b.t.Helper()
	return b.putIn(b.db, chat, user, n)
}

func (b *bench) putIn(in queriestest.Execer, chat, user int64, n int) []string {
	b.t.Helper()
	ids := make([]string, 0, n)
	for range n {
		ids = append(ids, b.putRow(in, place{chat, user})...)
	}
	return ids
}

// place is where an event belongs.
type place struct{ chat, user int64 }

// putRow commits an event for each place, all in one row.
func (b *bench) putRow(in queriestest.Execer, places ...place) []string {
	b.t.Helper()
	ids := make([]string, len(places))
	events := make([]queries.OutboxEvent, len(places))
	for i, p := range places {
		id := uuid.New()
		id[15] |= 1 // two zeros at the end make it one of our own ids, which are written shorter
		events[i] = queries.OutboxEvent{
			ID: id, ChatID: p.chat, UserID: p.user, Name: "message_delivered", Payload: fmt.Appendf(nil, `{"chat_id":"%d"}`, p.chat),
		}
		ids[i] = id.String()
	}
	queriestest.PutEvents(b.t, in, events)
	return ids
}

// left is how many events are in the outbox.
func (b *bench) left() int {
	b.t.Helper()
	var n int
	require.NoError(b.t, b.db.GetContext(context.Background(), &n, `SELECT COALESCE(sum(size), 0) FROM outbox`))
	return n
}

func (b *bench) empty() {
	b.t.Helper()
	until(b.t, "the outbox is empty", func() bool { return b.left() == 0 })
}

func idsOf(events []event) []string {
	out := make([]string, len(events))
	for i, e := range events {
		out[i] = e.MessageID
	}
	return out
}

// first leaves out what came before.
func first(ids []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}

func TestEventsLeaveInOrderAndOnlyThenTheirRowsGo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ids := b.put(7, 1, 500)
	events := b.dispatcher()
	r := b.relay(func(c *pipeline.RelayConfig) { c.Batch = 64 })
	got := next(t, events, 500)
	require.Equal(t, ids, idsOf(got))
	b.empty()
	until(t, "all are counted", func() bool { return r.confirmed.Load() == 500 })
	require.NoError(t, r.Err())
	require.True(t, r.Leading())
	e := got[0].properties
	require.Equal(t, "message_delivered", e.Type)
	require.Equal(t, "application/json", e.ContentType)
	require.Equal(t, "utf-8", e.ContentEncoding)
	require.Equal(t, amqp.Persistent, e.DeliveryMode)
	require.Empty(t, e.Headers)
	require.WithinDuration(t, time.Now(), e.Timestamp, time.Hour)
	require.JSONEq(t, `{"chat_id":"7"}`, got[0].raw)
}

func TestACommitWakesTheRelay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	events := b.dispatcher()
	r := b.relay(unhurried)
	until(t, "it leads", r.Leading)
	for range 3 {
		ids := b.put(7, 1, 2)
		r.Wake()
		require.Equal(t, ids, idsOf(next(t, events, 2)))
	}
}

// An id is drawn before the commit, so a row may become visible behind others
// with a higher one.
func TestAnEventThatIsCommittedLateIsFound(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	events := b.dispatcher()
	tx, err := b.db.BeginTx(context.Background(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	late := b.putIn(tx, 8, 1, 2)
	b.relay()
	early := b.put(7, 1, 3)
	require.Equal(t, early, idsOf(next(t, events, 3)), "an open transaction holds up the others")
	b.empty()
	require.NoError(t, tx.Commit())
	require.Equal(t, late, idsOf(next(t, events, 2)))
	b.empty()
}

func TestAnOpenTransactionElsewhereStopsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	tx, err := b.db.BeginTx(context.Background(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = tx.ExecContext(context.Background(), `INSERT INTO users (id, details) VALUES (1, '{}')`)
	require.NoError(t, err)
	events := b.dispatcher()
	b.relay()
	ids := b.put(7, 1, 3)
	require.Equal(t, ids, idsOf(next(t, events, 3)))
	b.empty()
}

func TestEventsThatNobodyTakesAreKeptInFanIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ids := b.put(7, 1, 3)
	r := b.relay()
	until(t, "there is an alarm", func() bool { return errors.Is(r.Err(), pipeline.ErrUnroutable) })
	require.Equal(t, 3, b.left())
	require.Zero(t, r.unroutable.Load())
	events := b.dispatcher()
	require.Equal(t, ids, idsOf(next(t, events, 3)))
	b.empty()
	until(t, "the alarm is over", func() bool { return r.Err() == nil })
}

func TestEventsThatNobodyTakesAreDoneInUserRouting(t *testing.T) {
	t.Parallel()
	b := newBench(t, withRouting(pipeline.RoutingUser))
	events := b.dispatcher("1")
	online, offline := b.put(7, 1, 3), b.put(7, 2, 4)
	r := b.relay()
	require.Equal(t, online, idsOf(next(t, events, 3)))
	b.empty()
	require.NotEmpty(t, offline)
	until(t, "all are counted", func() bool { return r.unroutable.Load() == 4 && r.confirmed.Load() == 3 })
	require.NoError(t, r.Err())
}

func TestABrokerThatIsAwayCostsNoEvent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	events := b.dispatcher()
	l := newLink(t, b.broker)
	r := b.relayAt(l.url)
	before := b.put(7, 1, 3)
	next(t, events, len(before))
	b.empty()
	l.cut()
	ids := b.put(7, 1, 3)
	until(t, "there is an alarm", func() bool { return r.Err() != nil })
	require.Equal(t, 3, b.left())
	l.restore()
	require.Equal(t, ids, idsOf(next(t, events, 3)))
	b.empty()
	until(t, "the alarm is over", func() bool { return r.Err() == nil })
}

// A window that is under way when the relay is told to stop is brought to its
// end: what is confirmed must be deleted, or it goes out again.
func TestAStoppedRelayLeavesNoConfirmedRow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	events := b.dispatcher()
	l := newLink(t, b.broker)
	r := b.relayAt(l.url)
	next(t, events, len(b.put(7, 1, 1)))
	b.empty()
	l.slow(300 * time.Millisecond)
	ids := b.put(7, 1, 1)
	require.Equal(t, ids, idsOf(next(t, events, 1)))
	require.Equal(t, 1, b.left(), "this test is too slow to prove anything")
	r.stop()
	require.Zero(t, b.left())
	require.Error(t, r.Err())
	require.False(t, r.Leading())
}

func TestARelayChecksItsConfiguration(t *testing.T) {
	t.Parallel()
	_, err := pipeline.NewRelay(pipeline.RelayConfig{Routing: "somehow"})
	for _, missing := range []string{"DB", "Publisher", "Logger", "Routing"} {
		require.ErrorContains(t, err, missing)
	}
}
