package pipeline_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
)

// relayOverLink runs a relay that reads from the beginning only when something
// stays, and returns when it has dispatched an event over the link.
func (b *bench) relayOverLink(events <-chan event, change ...func(*pipeline.RelayConfig)) (*relayed, *link) {
	b.t.Helper()
	l := newLink(b.t, b.broker)
	return b.relayBegun(l.url, events, append(change, func(c *pipeline.RelayConfig) { c.Sweep = time.Hour })...), l
}

// relayBegun runs a relay and returns when it has found where the rows begin, by an
// event that it has dispatched.
func (b *bench) relayBegun(broker string, events <-chan event, change ...func(*pipeline.RelayConfig)) *relayed {
	b.t.Helper()
	b.put(8, 2, 1)
	r := b.relayAt(broker, change...)
	next(b.t, events, 1)
	b.empty()
	return r
}

// putAtOnce commits n events together, so that the relay reads all of them or none.
func (b *bench) putAtOnce(chat, user int64, n int) []string {
	b.t.Helper()
	tx, err := b.db.BeginTxx(context.Background(), nil)
	require.NoError(b.t, err)
	ids := b.putIn(tx, chat, user, n)
	require.NoError(b.t, tx.Commit())
	return ids
}

// What is committed while the broker is still to confirm the events before it
// need not wait for that. If the connection goes, all of it goes again, in order.
func TestEventsFollowThoseThatAreNotConfirmedYet(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	events := b.dispatcher()
	r, l := b.relayOverLink(events)

	l.swallow("downstream")
	var ids []string
	for range 5 {
		more := b.putAtOnce(7, 1, 3)
		r.Wake()
		require.Equal(t, more, idsOf(next(t, events, 3)))
		ids = append(ids, more...)
	}
	require.Equal(t, len(ids), b.left(), "rows went without a confirm")
	l.heal()
	require.Equal(t, ids, idsOf(next(t, events, len(ids))))
	b.empty()
	until(t, "all are counted", func() bool { return r.confirmed.Load() == int64(1+len(ids)) })
}

// nothingMore fails the test if there is another event while none is confirmed.
func nothingMore(t testing.TB, events <-chan event) {
	t.Helper()
	select {
	case e := <-events:
		require.Fail(t, "more than the bound is under way", "%s", e.MessageID)
	case <-time.After(300 * time.Millisecond):
	}
}

// A window is not more than half of what may be under way, and all windows
// together are not more than that.
func TestWindowsTogetherAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	events := b.dispatcher()
	_, l := b.relayOverLink(events, func(c *pipeline.RelayConfig) { c.Batch = 10 })

	l.swallow("downstream")
	ids := b.putAtOnce(7, 1, 50)
	require.Equal(t, ids[:10], idsOf(next(t, events, 10)))
	nothingMore(t, events)
	l.heal()
	b.empty()
	require.Equal(t, ids, first(idsOf(next(t, events, 50))))
}

// The refusal of an event comes when others of its chat are on their way already.
// None of those is done, though the broker may have taken it.
func TestARefusalHoldsWhatIsOnItsWayBehindIt(t *testing.T) {
	t.Parallel()
	b := newBench(t, withRouting(pipeline.RoutingUser))
	queue := b.full(1, 1)
	others := b.dispatcher("2")
	r, l := b.relayOverLink(others)

	l.slow(500 * time.Millisecond)
	stuck := b.putAtOnce(7, 1, 2)
	r.Wake()
	until(t, "the queue is full", func() bool { return b.depth(queue) == 1 })
	free := b.put(8, 2, 1)
	answer := b.put(7, 2, 1)
	stuck = append(stuck, b.put(7, 1, 1)...)
	r.Wake()
	require.Equal(t, append(free, answer...), idsOf(next(t, others, 2)))
	until(t, "only the refused and those behind it are left", func() bool { return r.held.Load() > 0 && b.left() == 3 })

	require.Equal(t, stuck, arrive(t, b.consume(queue), 3), "the chat lost its order")
	require.Equal(t, answer, idsOf(next(t, others, 1)), "what had overtaken the refused one did not go again")
	b.empty()
}
