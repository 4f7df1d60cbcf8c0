package pipeline_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
	"chat-messaging/queries"
)

// unhurried relays read when they are told to, and when they delete.
func unhurried(c *pipeline.RelayConfig) { c.Poll, c.Sweep = time.Hour, time.Hour }

// offered commits an event and returns its row as who has written it would
// tell it, but that the name is another: it shows which of the two went out.
func (b *bench) offered(chat, user int64) queries.OutboxRow {
	b.t.Helper()
	id, err := uuid.Parse(b.put(chat, user, 1)[0])
	require.NoError(b.t, err)
	var row struct {
		ID        int64
		CreatedAt time.Time `db:"created_at"`
	}
	require.NoError(b.t, b.db.GetContext(context.Background(), &row, `SELECT id, created_at FROM outbox ORDER BY id DESC LIMIT 1`))
	return queries.OutboxRow{ID: row.ID, CreatedAt: row.CreatedAt, Events: []queries.OutboxEvent{
		{ID: id, ChatID: chat, UserID: user, Name: "offered", Payload: []byte("{}")},
	}}
}

func TestARowThatIsOfferedIsNotReadBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	events := b.dispatcher()
	r := b.relayBegun(b.broker, events, unhurried)
	for range 3 {
		row := b.offered(7, 1)
		r.Offer([]queries.OutboxRow{row})
		e := next(t, events, 1)[0]
		require.Equal(t, row.Events[0].ID.String(), e.MessageID)
		require.Equal(t, "offered", e.Type)
		b.empty()
	}
}

// The row in between may be of the same chat.
func TestAnOfferBehindAGapIsRead(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	events := b.dispatcher()
	r := b.relayBegun(b.broker, events, unhurried)

	between := b.put(7, 1, 1)
	row := b.offered(7, 1)
	r.Offer([]queries.OutboxRow{row})
	got := next(t, events, 2)
	require.Equal(t, append(between, row.Events[0].ID.String()), idsOf(got))
	require.Equal(t, "message_delivered", got[1].Type)
	b.empty()

	row = b.offered(7, 1)
	r.Offer([]queries.OutboxRow{row})
	require.Equal(t, "offered", next(t, events, 1)[0].Type, "behind the gap offers are as good as before")
	b.empty()
}

// What was offered and read all the same is gone from the outbox, and may come right
// behind a row that is found late.
func TestAnOfferThatWasReadIsNotTaken(t *testing.T) {
	t.Parallel()
	b := newBench(t, withRouting(pipeline.RoutingUser))
	b.full(1, 1)
	events := b.dispatcher("2")
	r := b.relay(unhurried)
	b.put(7, 1, 2)
	r.Wake()
	until(t, "an event is refused", func() bool { return r.held.Load() > 0 && b.left() == 1 })
	// As long as somebody waits for an outbox that is not empty all reads are from the
	// beginning.
	ctx, cancel := context.WithCancel(context.Background())
	var waiting sync.WaitGroup
	waiting.Go(func() { _ = r.Drain(ctx) })

	tx, err := b.db.BeginTxx(context.Background(), nil)
	require.NoError(t, err)
	late := b.putIn(tx, 8, 2, 1)
	row := b.offered(9, 2)
	r.Offer([]queries.OutboxRow{row})
	require.Equal(t, []string{row.Events[0].ID.String()}, idsOf(next(t, events, 1)))
	until(t, "its row is gone", func() bool { return b.left() == 1 })
	require.NoError(t, tx.Commit())
	r.Wake()
	require.Equal(t, late, idsOf(next(t, events, 1)))
	cancel()
	waiting.Wait()
	behind := b.put(9, 2, 1)
	r.Wake()
	require.Equal(t, behind, idsOf(next(t, events, 1)))
}

func TestARelayThatDoesNotLeadTakesNoOffers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	events := b.dispatcher()
	leader := b.relayBegun(b.broker, events, unhurried)
	standby := b.relay(unhurried)

	row := b.offered(7, 1)
	standby.Offer([]queries.OutboxRow{row})
	leader.stop()
	e := next(t, events, 1)[0]
	require.Equal(t, row.Events[0].ID.String(), e.MessageID)
	require.Equal(t, "message_delivered", e.Type)
	b.empty()
}

// A broker that is slow or away must not fill the memory.
func TestOffersAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	events := b.dispatcher()
	r, l := b.relayOverLink(events, unhurried, func(c *pipeline.RelayConfig) { c.Batch = 16 })
	l.slow(500 * time.Millisecond)
	var ids []string
	for range 40 {
		row := b.offered(7, 1)
		ids = append(ids, row.Events[0].ID.String())
		r.Offer([]queries.OutboxRow{row})
	}
	all := next(t, events, 40)
	require.Equal(t, ids, idsOf(all))
	require.Equal(t, "message_delivered", all[len(all)-1].Type, "what was offered beyond the bound was kept")
	b.empty()
}
