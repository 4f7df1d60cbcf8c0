package middleware_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"chat-messaging/middleware"
	"chat-messaging/queries"
)

func TestWhatTheHandlerWritesAndItsEventsAreCommittedInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, note, func(c *middleware.OutboxConfig) { c.MaxBatch = 64 })
	accepted(t, r.send(numbers(0, 500)...))
	require.Equal(t, numbers(0, 500), r.notes())
	require.Equal(t, eventsOf(numbers(0, 500)), r.events())
}

func TestABatchIsWhatArrivedDuringTheOneBefore(t *testing.T) {
	t.Parallel()
	g := newGate()
	r := newRig(t, g.around(note))
	first := r.send("first")
	g.waitEntered(t)
	// All of them joined before the second batch is made: their goroutines are
	// started in reverse, so the one at the front is the last to come.
	tickets := make([]*middleware.Ticket, 100)
	for i := range tickets {
		tickets[i] = r.arrivals.Issue()
	}
	rest := make([]verdict, len(tickets))
	for i := len(tickets) - 1; i >= 0; i-- {
		rest[i] = r.join(context.Background(), strconv.Itoa(i), tickets[i])
	}
	close(g.open)
	accepted(t, append(first, rest...))
	require.Equal(t, append([]string{"first"}, numbers(0, 100)...), slices.Concat(r.seen()...))
}

func TestABatchHasAtMostMaxBatchMessages(t *testing.T) {
	t.Parallel()
	r := newRig(t, note, func(c *middleware.OutboxConfig) { c.MaxBatch = 7 })
	accepted(t, r.send(numbers(0, 100)...))
	for _, b := range r.seen() {
		require.LessOrEqual(t, len(b), 7)
	}
}

func TestALingeringBatchWaitsUntilItIsFull(t *testing.T) {
	t.Parallel()
	r := newRig(t, note, func(c *middleware.OutboxConfig) { c.MaxBatch, c.Linger = 3, patience })
	one := r.send("0")
	two := r.send("1")
	require.True(t, one[0].pending() && two[0].pending())
	accepted(t, slices.Concat(one, two, r.send("2")))
	require.Equal(t, [][]string{{"0", "1", "2"}}, r.seen())
}

func TestALingeringBatchGoesWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	r := newRig(t, note, func(c *middleware.OutboxConfig) { c.Linger = 20 * time.Millisecond })
	started := time.Now()
	accepted(t, r.send("0"))
	require.GreaterOrEqual(t, time.Since(started), 20*time.Millisecond)
}

func TestAnErrorRollsBackTheWritesAndTheEvents(t *testing.T) {
	t.Parallel()
	broken := errors.New("the link is broken")
	tries := 0
	r := newRig(t, func(carrier *message.Message) ([]*message.Message, error) {
		events, err := note(carrier)
		if tries++; tries < 3 {
			return events, broken
		}
		return events, err
	})
	accepted(t, r.send("0"))
	require.Equal(t, 3, tries)
	require.Equal(t, []string{"0"}, r.notes(), "an earlier try left its writes")
	require.Equal(t, []string{"event of 0"}, r.events(), "an earlier try left its event")
}

func TestAnEventThatCannotBeWrittenRollsBackTheWrites(t *testing.T) {
	t.Parallel()
	tries := 0
	r := newRig(t, func(carrier *message.Message) ([]*message.Message, error) {
		events, err := note(carrier)
		if tries++; tries == 1 {
			events[0].UUID = "no uuid"
		}
		return events, err
	})
	accepted(t, r.send("0"))
	require.Equal(t, []string{"0"}, r.notes())
	require.Equal(t, []string{"event of 0"}, r.events())
}

func TestABeginThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	var tries int
	r := newRig(t, note, func(c *middleware.OutboxConfig) {
		begin := c.Begin
		c.Begin = func(ctx context.Context) (*queries.Tx, error) {
			if tries++; tries < 4 {
				return nil, errors.New("the database is away")
			}
			return begin(ctx)
		}
	})
	accepted(t, r.send("0", "1"))
	require.GreaterOrEqual(t, tries, 4)
	require.Equal(t, numbers(0, 2), r.notes())
}

func TestAnOutageIsWaitedForUntilTheMessagesAreGone(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	tries := 0
	r := newRig(t, note, func(c *middleware.OutboxConfig) {
		c.Begin = func(context.Context) (*queries.Tx, error) {
			mu.Lock()
			defer mu.Unlock()
			tries++
			return nil, errors.New("the database is away")
		}
	})
	ctx, cancel := context.WithCancelCause(context.Background())
	v := []verdict{r.join(ctx, "0", r.arrivals.Issue()), r.join(ctx, "1", r.arrivals.Issue())}
	until(t, "the batch is tried again", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return tries > 5
	})
	require.True(t, v[0].pending() && v[1].pending(), "an outage settled a message")
	lost := errors.New("the channel is lost")
	cancel(lost)
	require.ErrorIs(t, v[0].wait(t), lost)
	require.ErrorIs(t, v[1].wait(t), lost)
}

func TestAStatementThatHangsIsEndedAndTriedAgain(t *testing.T) {
	t.Parallel()
	tries := 0
	r := newRig(t, func(carrier *message.Message) ([]*message.Message, error) {
		if tries++; tries == 1 {
			_, err := middleware.BatchFrom(carrier.Context()).Tx.ExecContext(carrier.Context(), `SELECT pg_sleep(50)`)
			return nil, err
		}
		return note(carrier)
	}, func(c *middleware.OutboxConfig) { c.Timeout = 100 * time.Millisecond })
	accepted(t, r.send("0"))
	require.Equal(t, 2, tries)
	require.Equal(t, []string{"0"}, r.notes())
}

func TestACommitUnderWaySurvivesTheLossOfItsMessages(t *testing.T) {
	t.Parallel()
	g := newGate()
	r := newRig(t, g.around(note))
	ctx, cancel := context.WithCancel(context.Background())
	v := r.join(ctx, "0", r.arrivals.Issue())
	g.waitEntered(t)
	cancel()
	close(g.open)
	require.NoError(t, v.wait(t))
	require.Equal(t, []string{"0"}, r.notes())
}

func TestAMessageThatIsGoneBeforeItsBatchIsNotHandled(t *testing.T) {
	t.Parallel()
	g := newGate()
	r := newRig(t, g.around(note))
	first := r.send("first")
	g.waitEntered(t)
	lost := errors.New("the channel is lost")
	ctx, cancel := context.WithCancelCause(context.Background())
	gone := r.join(ctx, "gone", r.arrivals.Issue())
	kept := r.send("kept")
	cancel(lost)
	close(g.open)
	require.ErrorIs(t, gone.wait(t), lost)
	accepted(t, append(first, kept...))
	require.Equal(t, []string{"first", "kept"}, r.notes())
}

func TestFailSettlesOneMessageAndLeavesTheOthers(t *testing.T) {
	t.Parallel()
	bad := errors.New("not a message")
	r := newRig(t, func(carrier *message.Message) ([]*message.Message, error) {
		b := middleware.BatchFrom(carrier.Context())
		for i, msg := range b.Messages {
			if string(msg.Payload) == "2" {
				b.Fail(i, bad)
			}
		}
		return note(carrier)
	}, func(c *middleware.OutboxConfig) { c.MaxBatch, c.Linger = 4, patience })
	v := r.send(numbers(0, 4)...)
	require.ErrorIs(t, v[2].wait(t), bad)
	accepted(t, slices.Delete(v, 2, 3))
	require.Equal(t, numbers(0, 4), r.notes())
}

func TestAfterCommitRunsOnceAndSeesWhatWasCommitted(t *testing.T) {
	t.Parallel()
	var r *rig
	var saw [][]string
	tries := 0
	r = newRig(t, func(carrier *message.Message) ([]*message.Message, error) {
		middleware.BatchFrom(carrier.Context()).AfterCommit(func() { saw = append(saw, r.notes()) })
		events, err := note(carrier)
		if tries++; tries < 3 {
			return nil, errors.New("the link is broken")
		}
		return events, err
	})
	accepted(t, r.send("0"))
	require.Equal(t, [][]string{{"0"}}, saw)
}

func TestCommittedIsCalledOnlyForCommitsWithEvents(t *testing.T) {
	t.Parallel()
	committed, tries := 0, 0
	r := newRig(t, func(carrier *message.Message) ([]*message.Message, error) {
		events, err := note(carrier)
		switch tries++; tries {
		case 1:
			return events, errors.New("the link is broken")
		case 2:
			return nil, err
		}
		return events, err
	}, func(c *middleware.OutboxConfig) { c.Committed = func([]queries.OutboxRow) { committed++ } })
	accepted(t, r.send("0"))
	require.Zero(t, committed)
	accepted(t, r.send("1"))
	require.Equal(t, 1, committed)
}

func TestObserveTellsEveryTransactionAndItsResult(t *testing.T) {
	t.Parallel()
	var sizes []int
	var failed []bool
	tries := 0
	r := newRig(t, func(carrier *message.Message) ([]*message.Message, error) {
		switch tries++; tries {
		case 1:
			return nil, errors.New("the link is broken")
		case 2:
			panic("a fault")
		}
		return note(carrier)
	}, func(c *middleware.OutboxConfig) {
		c.MaxBatch, c.Linger = 2, patience
		c.Observe = func(size int, took time.Duration, err error) {
			sizes, failed = append(sizes, size), append(failed, err != nil)
		}
	})
	accepted(t, r.send("0", "1"))
	require.Equal(t, []int{2, 2, 1, 1}, sizes)
	require.Equal(t, []bool{true, true, false, false}, failed, "a panic counts as a commit")
}
