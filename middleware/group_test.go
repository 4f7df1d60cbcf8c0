package middleware_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"chat-messaging/middleware"
)

// carrying makes a message that carries one message for each payload.
func carrying(ctx context.Context, payloads ...string) *message.Message {
	members := make([]*message.Message, len(payloads))
	for i, payload := range payloads {
		members[i] = message.NewMessage(payload, []byte(payload))
		members[i].SetContext(ctx)
	}
	msg := message.NewMessage("group", nil)
	msg.SetContext(middleware.WithGroup(ctx, members))
	return msg
}

// sendGroup lets a group arrive behind all that came before.
func (r *rig) sendGroup(payloads ...string) verdict {
	v := make(verdict, 1)
	msg := carrying(context.Background(), payloads...)
	msg.SetContext(middleware.WithTicket(msg.Context(), r.arrivals.Issue()))
	go func() {
		_, err := r.handle(msg)
		v <- err
	}()
	return v
}

func TestMembersOfGroupsAndSingleMessagesShareBatchesInOrder(t *testing.T) {
	t.Parallel()
	g := newGate()
	r := newRig(t, g.around(note), func(c *middleware.OutboxConfig) { c.MaxBatch = 5 })
	first := r.send("0")
	g.waitEntered(t)
	verdicts := []verdict{r.sendGroup("1", "2", "3"), r.send("4")[0], r.sendGroup("5", "6"), r.sendGroup("7", "8", "9")}
	close(g.open)
	accepted(t, append(first, verdicts...))
	require.Equal(t, numbers(0, 10), r.notes())
	for _, batch := range r.seen() {
		require.LessOrEqual(t, len(batch), 5, "a batch is counted in messages, not in groups")
	}
	require.Equal(t, numbers(0, 10), slices.Concat(r.seen()...))
}

func TestAGroupLargerThanABatchIsNotStuck(t *testing.T) {
	t.Parallel()
	r := newRig(t, note, func(c *middleware.OutboxConfig) { c.MaxBatch = 2 })
	accepted(t, []verdict{r.sendGroup("0", "1", "2"), r.send("3")[0]})
	require.Equal(t, numbers(0, 4), r.notes())
}

func TestABatchIsBoundedInBytesToo(t *testing.T) {
	t.Parallel()
	g := newGate()
	r := newRig(t, g.around(note), func(c *middleware.OutboxConfig) { c.MaxBatchBytes = 250 })
	hundred := strings.Repeat("x", 100)
	first := r.send("0")
	g.waitEntered(t)
	verdicts := append(r.send(hundred, hundred, hundred), r.sendGroup(hundred, hundred, hundred), r.send(hundred)[0])
	close(g.open)
	accepted(t, append(first, verdicts...))
	var sizes []int
	for _, batch := range r.seen() {
		sizes = append(sizes, len(batch))
	}
	require.Equal(t, []int{1, 2, 1, 3, 1}, sizes, "what is too large for any batch has one of its own")
}

func TestOneMemberToBlameLeavesTheOthersOfItsGroupAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, note)
	err := r.sendGroup("0", "bad\x00", "1", "2").wait(t)
	require.ErrorIs(t, err, errCondemned)
	verdicts, ok := errors.AsType[middleware.Verdicts](err)
	require.True(t, ok)
	require.Len(t, verdicts, 4)
	for i, verdict := range verdicts {
		require.Equal(t, i == 1, verdict != nil, "member %d: %v", i, verdict)
	}
	require.Equal(t, numbers(0, 3), r.notes())
	require.Equal(t, eventsOf(numbers(0, 3)), r.events())
}

func TestOnlyTheFailedMembersOfAGroupAreParked(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var parked []string
	park := func(_ context.Context, m *message.Message, reason error) error {
		mu.Lock()
		defer mu.Unlock()
		parked = append(parked, string(m.Payload)+" for "+reason.Error())
		return nil
	}
	_, err := poisoning(t, middleware.PoisonConfig{Park: park},
		middleware.Verdicts{nil, errFinal, nil, errFinal})(carrying(t.Context(), "a", "b", "c", "d"))
	require.NoError(t, err, "it stays unacknowledged")
	slices.Sort(parked)
	require.Equal(t, []string{"b for " + errFinal.Error(), "d for " + errFinal.Error()}, parked)
}

func TestAGroupThatComesAgainIsNotParkedInPart(t *testing.T) {
	t.Parallel()
	_, err := poisoning(t, middleware.PoisonConfig{
		Park: func(context.Context, *message.Message, error) error {
			t.Error("it was parked")
			return nil
		},
	}, middleware.Verdicts{errFinal, errOutage})(carrying(t.Context(), "a", "b"))
	require.ErrorIs(t, err, errOutage)
}

func TestEveryMemberOfAGroupIsObserved(t *testing.T) {
	t.Parallel()
	var seen []string
	observe := middleware.Observe(func(_ time.Duration, err error) {
		if err == nil {
			seen = append(seen, "settled")
			return
		}
		seen = append(seen, err.Error())
	})
	for _, err := range []error{nil, middleware.Verdicts{nil, errFinal}, errOutage} {
		_, got := observe(func(*message.Message) ([]*message.Message, error) { return nil, err })(carrying(t.Context(), "a", "b"))
		require.Equal(t, err, got)
	}
	require.Equal(t, []string{"settled", "settled", "settled", errFinal.Error(), errOutage.Error(), errOutage.Error()}, seen)
	require.ErrorContains(t, middleware.Verdicts{nil, errFinal}, errFinal.Error())
}
