package middleware_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"chat-messaging/middleware"
)

// nul is what Postgres refuses in a text, an error of class 22.
const nul = "\x00"

func TestOneBadMessageDoesNotFailItsBatch(t *testing.T) {
	t.Parallel()
	const size = 16
	for name, bad := range map[string][]int{
		"the first":           {0},
		"the last":            {size - 1},
		"one in the middle":   {7},
		"either side of half": {7, 8},
		"two neighbours":      {4, 5},
		"both ends":           {0, size - 1},
		"every other one":     {0, 2, 4, 6, 8, 10, 12, 14},
		"all":                 {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, note, func(c *middleware.OutboxConfig) { c.MaxBatch, c.Linger = size, patience })
			payloads := numbers(0, size)
			var good []string
			for i := range payloads {
				if slices.Contains(bad, i) {
					payloads[i] += nul
				} else {
					good = append(good, payloads[i])
				}
			}
			for i, v := range r.send(payloads...) {
				err := v.wait(t)
				if slices.Contains(bad, i) {
					require.ErrorIs(t, err, errCondemned)
				} else {
					require.NoError(t, err)
				}
			}
			require.Len(t, r.seen()[0], size, "they were to share a batch")
			require.Equal(t, good, r.notes(), "the good ones, once each and in order")
			if len(good) > 0 {
				require.Equal(t, eventsOf(good), r.events())
			} else {
				require.Empty(t, r.events())
			}
		})
	}
}

func TestABadMessageAmongAThousandCostsFewTransactions(t *testing.T) {
	t.Parallel()
	const size = 1000
	r := newRig(t, func(carrier *message.Message) ([]*message.Message, error) {
		for _, msg := range middleware.BatchFrom(carrier.Context()).Messages {
			if strings.HasSuffix(string(msg.Payload), nul) {
				return nil, &middleware.PanicError{Value: "bad"}
			}
		}
		return nil, nil
	}, func(c *middleware.OutboxConfig) { c.MaxBatch, c.Linger = size, patience })
	payloads := numbers(0, size)
	payloads[617] += nul
	for i, v := range r.send(payloads...) {
		if err := v.wait(t); i == 617 {
			require.ErrorIs(t, err, errCondemned)
		} else {
			require.NoError(t, err)
		}
	}
	require.LessOrEqual(t, len(r.seen()), 1+2*10, "halving a thousand takes ten steps")
}

func TestAPanicCondemnsItsMessageOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(carrier *message.Message) ([]*message.Message, error) {
		events, err := note(carrier)
		for _, msg := range middleware.BatchFrom(carrier.Context()).Messages {
			if string(msg.Payload) == "3" {
				panic("this handler has a fault")
			}
		}
		return events, err
	}, func(c *middleware.OutboxConfig) { c.MaxBatch, c.Linger = 5, patience })
	v := r.send(numbers(0, 5)...)
	err := v[3].wait(t)
	require.ErrorIs(t, err, errCondemned)
	var panicked *middleware.PanicError
	require.ErrorAs(t, err, &panicked)
	require.Equal(t, "this handler has a fault", panicked.Value)
	accepted(t, slices.Delete(v, 3, 4))
	require.Equal(t, []string{"0", "1", "2", "4"}, r.notes(), "what was written before the panic was kept")
}

func TestNobodyIsCondemnedWhileTheDatabaseIsUnwell(t *testing.T) {
	t.Parallel()
	var probes atomic.Int32
	var well atomic.Bool
	r := newRig(t, note, func(c *middleware.OutboxConfig) {
		c.Probe = func(context.Context) error {
			probes.Add(1)
			if well.Load() {
				return nil
			}
			return errors.New("the database is unwell")
		}
	})
	v := r.send("bad" + nul)[0]
	until(t, "the message is tried again", func() bool { return len(r.seen()) > 2 })
	require.True(t, v.pending())
	well.Store(true)
	require.ErrorIs(t, v.wait(t), errCondemned)
	require.Greater(t, probes.Load(), int32(2))
}

func TestAMessageThatComesGoodWhileTheDatabaseIsUnwellIsNotCondemned(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	r := newRig(t, func(carrier *message.Message) ([]*message.Message, error) {
		if tries.Add(1) < 3 {
			panic("out of something")
		}
		return note(carrier)
	}, func(c *middleware.OutboxConfig) {
		c.Probe = func(context.Context) error { return errors.New("the database is unwell") }
	})
	accepted(t, r.send("0"))
	require.Equal(t, []string{"0"}, r.notes())
}

func TestAnUnprovenMessageIsGivenBackWhenItsChannelGoes(t *testing.T) {
	t.Parallel()
	r := newRig(t, note, func(c *middleware.OutboxConfig) {
		c.Probe = func(context.Context) error { return errors.New("the database is unwell") }
	})
	ctx, cancel := context.WithCancelCause(context.Background())
	v := r.join(ctx, "bad"+nul, r.arrivals.Issue())
	until(t, "the message is tried again", func() bool { return len(r.seen()) > 1 })
	lost := errors.New("the channel is lost")
	cancel(lost)
	err := v.wait(t)
	require.ErrorIs(t, err, lost)
	require.NotErrorIs(t, err, errCondemned)
}

// The pauses between its tries grow: an unwell database is not asked without a
// break.
func TestAnUnwellDatabaseIsNotHammered(t *testing.T) {
	t.Parallel()
	r := newRig(t, note, func(c *middleware.OutboxConfig) {
		c.Probe = func(context.Context) error { return errors.New("the database is unwell") }
	})
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, r.join(ctx, "bad"+nul, r.arrivals.Issue()).wait(t), context.DeadlineExceeded)
	require.Less(t, len(r.seen()), 25)
}
