package pipeline_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
)

func TestOneOfTwoRelaysWorksAndTheOtherTakesOver(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	events := b.dispatcher()
	one, two := b.relay(), b.relay()
	until(t, "one leads", func() bool { return one.Leading() || two.Leading() })
	until(t, "the other stands by without an alarm", func() bool { return one.Err() == nil && two.Err() == nil })
	require.NotEqual(t, one.Leading(), two.Leading())
	want := b.put(7, 1, 50)
	require.Equal(t, want, idsOf(next(t, events, 50)))
	b.empty()

	leader, standby := one, two
	if two.Leading() {
		leader, standby = two, one
	}
	within(t, takeover, func() {
		leader.stop()
		want := b.put(7, 1, 50)
		require.Equal(t, want, idsOf(next(t, events, 50)))
	})
	require.True(t, standby.Leading())
	require.False(t, leader.Leading())
}

func TestALeaderWhoseSessionEndsIsReplaced(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	events := b.dispatcher()
	b.relay()
	b.relay()
	next(t, events, len(b.put(7, 1, 5)))
	b.empty()
	for range 3 {
		within(t, takeover, func() {
			terminateLockHolder(t, b.db, relayName)
			want := b.put(7, 1, 5)
			require.Equal(t, want, first(idsOf(next(t, events, 5))))
			b.empty()
		})
	}
}

// Between the confirm and the delete there is a moment in which a crash repeats
// events: with their ids.
func TestACrashBetweenConfirmAndDeleteRepeatsTheSameIds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	events := b.dispatcher()
	ids := b.put(7, 1, 5)
	// The delete waits for this lock, so the session ends in that moment.
	tx, err := b.db.BeginTx(context.Background(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = tx.ExecContext(context.Background(), `SELECT id FROM outbox FOR UPDATE`)
	require.NoError(t, err)
	b.relay()
	require.Equal(t, ids, idsOf(next(t, events, 5)))
	terminateLockHolder(t, b.db, relayName)
	require.Equal(t, ids, idsOf(next(t, events, 5)))
	require.NoError(t, tx.Rollback())
	b.empty()
}

func TestDrainReturnsWhenTheOutboxIsEmpty(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	events := b.dispatcher()
	r := b.relay(func(c *pipeline.RelayConfig) { c.Batch = 50 })
	until(t, "it leads", r.Leading)
	b.put(7, 1, 500)
	require.NoError(t, drain(r.Relay, patience))
	require.Zero(t, b.left())
	next(t, events, 500)
	require.NoError(t, drain(r.Relay, patience), "of an empty outbox")
}

func drain(r *pipeline.Relay, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return r.Drain(ctx)
}

// Whoever drains asks again and again while one round takes long.
func TestManyMayDrainDuringOneLongRound(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	events := b.dispatcher()
	r := b.relay(func(c *pipeline.RelayConfig) { c.Poll = time.Millisecond })
	until(t, "it leads", r.Leading)
	for range 3 {
		tx, err := b.db.BeginTx(context.Background(), nil)
		require.NoError(t, err)
		b.putIn(tx, 7, 1, 1)
		// Nobody may read the table: the round hangs until the commit.
		_, err = tx.ExecContext(context.Background(), `LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE`)
		require.NoError(t, err)
		results := make(chan error, 5)
		for range cap(results) {
			go func() { results <- drain(r.Relay, patience) }()
		}
		require.Never(t, func() bool { return len(results) > 0 }, 100*time.Millisecond, 10*time.Millisecond)
		require.NoError(t, tx.Commit())
		for range cap(results) {
			require.NoError(t, <-results)
		}
		require.Zero(t, b.left())
		next(t, events, 1)
	}
	next(t, events, len(b.put(7, 1, 1)))
}

func TestDrainEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put(7, 1, 1)
	r := b.relay()
	until(t, "nobody takes the event", func() bool { return r.held.Load() > 0 })
	require.ErrorIs(t, drain(r.Relay, 100*time.Millisecond), context.DeadlineExceeded)
	require.Equal(t, 1, b.left())
}

func TestARelayThatDoesNotLeadHasNothingToDrain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.relay()
	r.stop()
	b.put(7, 1, 1)
	require.NoError(t, drain(r.Relay, patience))
}
