package middleware_test

import (
	"context"
	"slices"
	"strconv"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"chat-messaging/middleware"
)

// Whatever the scheduler makes of the goroutines, and whoever leaves instead of
// joining, handlers see the messages in the order of their tickets.
func TestMessagesAreHandledInTheOrderOfTheirTickets(t *testing.T) {
	t.Parallel()
	shared := newRig(t, nothing)
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(rt, "messages")
		limit := rapid.IntRange(1, 45).Draw(rt, "largest batch")
		// late tickets are issued when half of the others are settled.
		late := rapid.IntRange(0, n-1).Draw(rt, "late")
		leaves := rapid.SliceOfN(rapid.Bool(), n, n).Draw(rt, "leaves")
		early := make([]int, n-late)
		for i := range early {
			early[i] = i
		}
		early = rapid.Permutation(early).Draw(rt, "order of settling")

		r := shared.another(nothing, func(c *middleware.OutboxConfig) { c.MaxBatch = limit })
		defer r.outbox.Close()
		tickets := make([]*middleware.Ticket, n)
		for i := range n - late {
			tickets[i] = r.arrivals.Issue()
		}
		verdicts := map[int]verdict{}
		settle := func(i int) {
			if leaves[i] {
				tickets[i].Leave()
				return
			}
			verdicts[i] = r.join(context.Background(), strconv.Itoa(i), tickets[i])
		}
		for at, i := range early {
			if at == len(early)/2 {
				for j := n - late; j < n; j++ {
					tickets[j] = r.arrivals.Issue()
				}
				for j := n - 1; j >= n-late; j-- {
					settle(j)
				}
			}
			settle(i)
		}
		var want []string
		for i := range n {
			if !leaves[i] {
				require.NoError(rt, verdicts[i].wait(t))
				want = append(want, strconv.Itoa(i))
			}
		}
		batches := r.seen()
		require.Equal(rt, want, slices.Concat(batches...))
		for _, b := range batches {
			require.LessOrEqual(rt, len(b), limit)
		}
	})
}

func TestAnOpenTicketHoldsUpThoseBehindItOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t, note)
	first, second, third := r.arrivals.Issue(), r.arrivals.Issue(), r.arrivals.Issue()
	behind := r.join(context.Background(), "third", third)
	require.NoError(t, r.join(context.Background(), "first", first).wait(t))
	require.True(t, behind.pending(), "the third message overtook the second")
	require.NoError(t, r.join(context.Background(), "second", second).wait(t))
	require.NoError(t, behind.wait(t))
	require.Equal(t, []string{"first", "second", "third"}, r.notes())
}

func TestALeftTicketHoldsUpNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t, note)
	first, second := r.arrivals.Issue(), r.arrivals.Issue()
	behind := r.join(context.Background(), "second", second)
	first.Leave()
	require.NoError(t, behind.wait(t))
}

func TestAMessageWhoseTicketWasGivenUpIsNotHandled(t *testing.T) {
	t.Parallel()
	r := newRig(t, note)
	ticket := r.arrivals.Issue()
	ticket.Leave()
	require.ErrorIs(t, r.join(context.Background(), "late", ticket).wait(t), context.Canceled)
	accepted(t, r.send("next"))
	require.Equal(t, []string{"next"}, r.notes())
}

func TestLeavingAfterJoiningChangesNothing(t *testing.T) {
	t.Parallel()
	g := newGate()
	r := newRig(t, g.around(note))
	ticket := r.arrivals.Issue()
	v := r.join(context.Background(), "one", ticket)
	g.waitEntered(t)
	ticket.Leave()
	close(g.open)
	require.NoError(t, v.wait(t))
	ticket.Leave()
	accepted(t, r.send("two"))
	require.Equal(t, []string{"one", "two"}, r.notes())
}

func TestAMessageWithoutATicketGetsThePlaceAtItsArrival(t *testing.T) {
	t.Parallel()
	r := newRig(t, note)
	_, err := r.handle(message.NewMessage("1", []byte("no ticket")))
	require.NoError(t, err)
	require.Equal(t, []string{"no ticket"}, r.notes())
}
