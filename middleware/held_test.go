package middleware_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"chat-messaging/middleware"
)

// holdWhile notes all messages but those of chat a while it is locked.
func holdWhile(locked *atomic.Bool) message.HandlerFunc {
	return func(carrier *message.Message) ([]*message.Message, error) {
		b := middleware.BatchFrom(carrier.Context())
		busy := locked.Load()
		for i, msg := range b.Messages {
			if busy && strings.HasPrefix(string(msg.Payload), "a") {
				b.Hold(i)
				continue
			}
			if _, err := b.Tx.ExecContext(carrier.Context(), `INSERT INTO notes (body) VALUES ($1)`, string(msg.Payload)); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
}

func TestHeldMessagesWaitInTheirOrderAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	var locked atomic.Bool
	locked.Store(true)
	r := newRig(t, holdWhile(&locked), func(c *middleware.OutboxConfig) { c.MaxBatch = 2 })
	first := r.send("a1", "b1", "a2", "a3", "b2")
	require.NoError(t, first[1].wait(t))
	require.NoError(t, first[4].wait(t))
	second := r.send("a4", "b3")
	require.NoError(t, second[1].wait(t), "more are held than a batch has room for")
	for _, v := range []int{0, 2, 3} {
		require.True(t, first[v].pending())
	}
	locked.Store(false)
	for _, v := range append(first[2:4:4], first[0], second[0]) {
		require.NoError(t, v.wait(t))
	}
	require.Equal(t, []string{"b1", "b2", "b3", "a1", "a2", "a3", "a4"}, r.notes())
}

// The batch of a held message may be split for the fault of another one.
func TestABadMessageIsFoundAmongHeldOnes(t *testing.T) {
	t.Parallel()
	var locked atomic.Bool
	locked.Store(true)
	r := newRig(t, holdWhile(&locked))
	v := r.send("a1", "b1", "b"+nul, "a2", "b2")
	require.ErrorIs(t, v[2].wait(t), errCondemned)
	require.NoError(t, v[4].wait(t))
	locked.Store(false)
	require.NoError(t, v[3].wait(t))
	require.Equal(t, []string{"b1", "b2", "a1", "a2"}, r.notes())
}

func TestCloseGivesHeldMessagesBack(t *testing.T) {
	t.Parallel()
	var locked atomic.Bool
	locked.Store(true)
	r := newRig(t, holdWhile(&locked))
	v := r.send("a1", "b1")
	require.NoError(t, v[1].wait(t))
	r.outbox.Close()
	require.ErrorIs(t, v[0].wait(t), middleware.ErrClosed)
}
