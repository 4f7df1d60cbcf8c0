package pipeline_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
)

// rowsOf is how many events each row of the outbox has.
func (b *bench) rowsOf() []int {
	b.t.Helper()
	sizes := []int{}
	require.NoError(b.t, b.db.SelectContext(context.Background(), &sizes, `SELECT size FROM outbox ORDER BY id`))
	return sizes
}

func same(n int, p place) []place {
	places := make([]place, n)
	for i := range places {
		places[i] = p
	}
	return places
}

// Rows are of any size, and how many make a window is only known when they are
// read.
func TestEventsOfRowsOfAnySizeLeaveInOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var ids []string
	for _, n := range []int{1, 1, 1, 60, 3, 40, 1, 1, 5, 20, 20, 20, 1} {
		ids = append(ids, b.putRow(b.db, same(n, place{7, 1})...)...)
	}
	events := b.dispatcher()
	r := b.relay(func(c *pipeline.RelayConfig) { c.Batch = 32 })
	require.Equal(t, ids, idsOf(next(t, events, len(ids))))
	b.empty()
	until(t, "all are counted", func() bool { return r.confirmed.Load() == int64(len(ids)) })
}

// Of what is on its way rows count by their events.
func TestWindowsOfLargeRowsAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	events := b.dispatcher()
	_, l := b.relayOverLink(events, func(c *pipeline.RelayConfig) { c.Batch = 10 })

	l.swallow("downstream")
	tx, err := b.db.BeginTxx(context.Background(), nil)
	require.NoError(t, err)
	var ids []string
	for range 20 {
		ids = append(ids, b.putRow(tx, same(3, place{7, 1})...)...)
	}
	require.NoError(t, tx.Commit())
	// Five at a time are one row, and two of those are under way.
	require.Equal(t, ids[:6], idsOf(next(t, events, 6)))
	nothingMore(t, events)
	l.heal()
	b.empty()
	require.Equal(t, ids, first(idsOf(next(t, events, len(ids)))))
}

// What is done of a row leaves it, so that it does not go out again with the rest.
func TestARowKeepsTheEventsThatAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, withRouting(pipeline.RoutingUser))
	queue := b.full(1, 0)
	others := b.dispatcher("2")
	ids := b.putRow(b.db, place{7, 1}, place{8, 2}, place{7, 2}, place{9, 2}, place{7, 1})
	whole := b.putRow(b.db, place{8, 2}, place{9, 2})
	stuck := b.putRow(b.db, place{7, 1}, place{7, 1})
	r := b.relay()
	free := append([]string{ids[1], ids[3]}, whole...)
	// With them goes, once, the one of the chat that is refused.
	require.ElementsMatch(t, append(free, ids[2]), arriveAt(t, others, 5))
	until(t, "only the chat that is refused is left", func() bool { return b.left() == 5 })
	require.Equal(t, []int{3, 2}, b.rowsOf())
	until(t, "it is held", func() bool { return errors.Is(r.Err(), pipeline.ErrNacked) })

	// Room again: the new queue comes before the full one goes.
	room := b.userQueue(1)
	b.remove(queue)
	require.Equal(t, append([]string{ids[0], ids[4]}, stuck...), arrive(t, room, 4))
	b.empty()
	until(t, "the alarm is over", func() bool { return r.Err() == nil })
}

// arriveAt waits until the first copies of n events have come.
func arriveAt(t testing.TB, events <-chan event, n int) []string {
	t.Helper()
	var all []string
	for len(first(all)) < n {
		all = append(all, idsOf(next(t, events, 1))...)
	}
	return first(all)
}

// A row that the relay cannot read stops it: going on would lose its events.
func TestARowThatIsNoneStopsTheRelay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	events := b.dispatcher()
	_, err := b.db.ExecContext(context.Background(), `INSERT INTO outbox (events) VALUES ('nothing')`)
	require.NoError(t, err)
	ids := b.put(7, 1, 1)
	r := b.relay()
	until(t, "there is an alarm", func() bool {
		return r.Err() != nil && strings.Contains(r.Err().Error(), "reading row 1 of the outbox")
	})
	require.Equal(t, 2, b.left())
	_, err = b.db.ExecContext(context.Background(), `DELETE FROM outbox WHERE events = 'nothing'`)
	require.NoError(t, err)
	require.Equal(t, ids, idsOf(next(t, events, 1)))
	b.empty()
}

// Rows of the release before hold one event each, in columns. They may wait when
// this one starts, and more may come while the last instance is replaced.
func TestRowsOfTheReleaseBeforeGoOut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	events := b.dispatcher()
	ids := b.put(7, 1, 2)
	var old string
	require.NoError(t, b.db.GetContext(context.Background(), &old, `
INSERT INTO outbox (event_id, chat_id, user_id, name, payload)
VALUES (gen_random_uuid(), 7, 1, 'message_delivered', '{"chat_id":"7"}') RETURNING event_id`))
	ids = append(append(ids, old), b.put(7, 1, 2)...)
	b.relay()
	got := next(t, events, 5)
	require.Equal(t, ids, idsOf(got))
	require.Equal(t, "message_delivered", got[2].properties.Type)
	require.JSONEq(t, `{"chat_id":"7"}`, got[2].raw)
	b.empty()
}
