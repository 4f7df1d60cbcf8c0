package middleware_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"chat-messaging/middleware"
)

var (
	errOutage   = errors.New("the link is broken")
	errConflict = errors.New("somebody else was first")
	errFinal    = errors.New("this can never work")
)

func retrying(c middleware.RetryConfig, next message.HandlerFunc) message.HandlerFunc {
	c.ShouldRetry = func(err error) bool { return !errors.Is(err, errFinal) }
	c.AtOnce = func(err error) bool { return errors.Is(err, errConflict) }
	return middleware.Retry(c)(next)
}

// failing fails n times with err, then with the last error, which may be nil.
func failing(n int, err, last error) (message.HandlerFunc, *int) {
	calls := 0
	return func(msg *message.Message) ([]*message.Message, error) {
		if calls++; calls <= n {
			return nil, err
		}
		return []*message.Message{msg}, last
	}, &calls
}

func TestRetryGoesOnUntilItSucceeds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		next, calls := failing(50, errOutage, nil)
		msg := message.NewMessage("1", nil)
		produced, err := retrying(middleware.RetryConfig{}, next)(msg)
		require.NoError(t, err)
		require.Equal(t, []*message.Message{msg}, produced)
		require.Equal(t, 51, *calls)
	})
}

func TestRetryEndsWithAnErrorThatNothingCanMend(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]int{"at the first try": 0, "after others": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				next, calls := failing(before, errOutage, errFinal)
				_, err := retrying(middleware.RetryConfig{}, next)(message.NewMessage("1", nil))
				require.ErrorIs(t, err, errFinal)
				require.Equal(t, before+1, *calls)
			})
		})
	}
}

func TestRetryEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("the channel is lost")
		ctx, cancel := context.WithCancelCause(context.Background())
		time.AfterFunc(time.Hour, func() { cancel(gone) })
		msg := message.NewMessage("1", nil)
		msg.SetContext(ctx)
		next, calls := failing(1_000_000, errOutage, nil)
		started := time.Now()
		_, err := retrying(middleware.RetryConfig{}, next)(msg)
		require.ErrorIs(t, err, gone)
		require.Equal(t, time.Hour, time.Since(started), "an outage has no last try")
		require.Greater(t, *calls, 3600/8)
	})
}

func TestThePausesOfRetryDoubleUpToTheLongest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var pauses []time.Duration
		next, _ := failing(12, errOutage, nil)
		started := time.Now()
		var total time.Duration
		_, err := retrying(middleware.RetryConfig{
			InitialInterval: 100 * time.Millisecond, MaxInterval: 2 * time.Second,
			OnRetry: func(err error, attempt int, elapsed, pause time.Duration) {
				require.ErrorIs(t, err, errOutage)
				require.Equal(t, len(pauses)+1, attempt)
				require.Equal(t, total, elapsed)
				pauses = append(pauses, pause)
				total += pause
			},
		}, next)(message.NewMessage("1", nil))
		require.NoError(t, err)
		require.Equal(t, total, time.Since(started), "OnRetry tells other pauses than were made")
		for i, want := range []int{100, 200, 400, 800, 1600, 2000, 2000, 2000} {
			mean := time.Duration(want) * time.Millisecond
			require.GreaterOrEqual(t, pauses[i], mean/2)
			require.LessOrEqual(t, pauses[i], mean*3/2)
		}
	})
}

func TestAConflictIsTriedAgainAtOnceButNotForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var pauses []time.Duration
		next, _ := failing(8, errConflict, nil)
		_, err := retrying(middleware.RetryConfig{
			OnRetry: func(_ error, _ int, _, pause time.Duration) { pauses = append(pauses, pause) },
		}, next)(message.NewMessage("1", nil))
		require.NoError(t, err)
		for i, pause := range pauses {
			if i < 5 {
				require.LessOrEqual(t, pause, time.Millisecond)
			} else {
				require.GreaterOrEqual(t, pause, 25*time.Millisecond)
			}
		}
	})
}
