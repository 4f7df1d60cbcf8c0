package middleware_test

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"chat-messaging/middleware"
)

// counted is a handler behind a Deduplicator.
type counted struct {
	handle     message.HandlerFunc
	handled    atomic.Int32
	duplicates atomic.Int32
}

func newCounted(t require.TestingT, window int, next message.HandlerFunc) *counted {
	c := &counted{}
	d, err := middleware.NewDeduplicator(window, func(*message.Message) { c.duplicates.Add(1) })
	require.NoError(t, err)
	c.handle = d.Middleware(func(msg *message.Message) ([]*message.Message, error) {
		c.handled.Add(1)
		return next(msg)
	})
	return c
}

func TestADuplicateIsDropped(t *testing.T) {
	t.Parallel()
	c := newCounted(t, 10, nothing)
	for range 3 {
		_, err := c.handle(message.NewMessage("a", nil))
		require.NoError(t, err)
	}
	_, err := c.handle(message.NewMessage("b", nil))
	require.NoError(t, err)
	require.EqualValues(t, 2, c.handled.Load())
	require.EqualValues(t, 2, c.duplicates.Load())
}

func TestWhatTheHandlerProducesComesThrough(t *testing.T) {
	t.Parallel()
	c := newCounted(t, 10, func(msg *message.Message) ([]*message.Message, error) {
		return []*message.Message{msg}, nil
	})
	msg := message.NewMessage("a", nil)
	produced, err := c.handle(msg)
	require.NoError(t, err)
	require.Equal(t, []*message.Message{msg}, produced)
}

func TestAMessageThatFailedIsNotADuplicateOfItself(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"by an error": func() error { return errOutage },
		"by a panic":  func() error { panic("a fault") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tries := 0
			c := newCounted(t, 10, func(*message.Message) ([]*message.Message, error) {
				if tries++; tries == 1 {
					return nil, fail()
				}
				return nil, nil
			})
			handle := middleware.Recover(c.handle)
			_, err := handle(message.NewMessage("a", nil))
			require.Error(t, err)
			_, err = handle(message.NewMessage("a", nil))
			require.NoError(t, err)
			require.EqualValues(t, 2, c.handled.Load())
			_, err = handle(message.NewMessage("a", nil))
			require.NoError(t, err)
			require.EqualValues(t, 2, c.handled.Load())
		})
	}
}

func TestADuplicateWaitsForTheOneThatIsBeingHandled(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]error{"which succeeds": nil, "which fails": errOutage} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				var calls atomic.Int32
				c := newCounted(t, 10, func(*message.Message) ([]*message.Message, error) {
					if calls.Add(1) == 1 {
						<-release
						return nil, first
					}
					return nil, nil
				})
				results := make(chan error, 2)
				for range 2 {
					go func() {
						_, err := c.handle(message.NewMessage("a", nil))
						results <- err
					}()
				}
				synctest.Wait()
				require.Empty(t, results)
				require.EqualValues(t, 1, c.handled.Load())
				close(release)
				err := errors.Join(<-results, <-results)
				if first == nil {
					require.NoError(t, err)
					require.EqualValues(t, 1, c.handled.Load())
					return
				}
				require.ErrorIs(t, err, errOutage)
				require.EqualValues(t, 2, c.handled.Load(), "nobody handled it after the failure")
			})
		})
	}
}

func TestManyAtOnceAreHandledOnceEach(t *testing.T) {
	t.Parallel()
	c := newCounted(t, 1000, nothing)
	var wg sync.WaitGroup
	for i := range 2000 {
		wg.Go(func() { _, _ = c.handle(message.NewMessage(strconv.Itoa(i%100), nil)) })
	}
	wg.Wait()
	require.EqualValues(t, 100, c.handled.Load())
	require.EqualValues(t, 1900, c.duplicates.Load())
}

// The window holds exactly the last ids that were handled.
func TestTheOldestIdIsForgottenFirst(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		window := rapid.IntRange(1, 5).Draw(rt, "window")
		c := newCounted(rt, window, nothing)
		var remembered []string
		for _, id := range rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"}), 0, 50).Draw(rt, "ids") {
			before := c.handled.Load()
			_, err := c.handle(message.NewMessage(id, nil))
			require.NoError(rt, err)
			known := false
			for _, r := range remembered {
				known = known || r == id
			}
			require.Equal(rt, !known, c.handled.Load() > before, "%s after %v", id, remembered)
			if !known {
				remembered = append(remembered, id)
				remembered = remembered[max(0, len(remembered)-window):]
			}
		}
	})
}

func TestAMessageWithoutAnIdIsAlwaysHandled(t *testing.T) {
	t.Parallel()
	c := newCounted(t, 10, nothing)
	for range 3 {
		_, err := c.handle(message.NewMessage("", nil))
		require.NoError(t, err)
	}
	require.EqualValues(t, 3, c.handled.Load())
}

func TestADeduplicatorNeedsAWindow(t *testing.T) {
	t.Parallel()
	_, err := middleware.NewDeduplicator(0, nil)
	require.Error(t, err)
	d, err := middleware.NewDeduplicator(1, nil)
	require.NoError(t, err)
	handle := d.Middleware(nothing)
	for range 2 {
		_, err = handle(message.NewMessage("a", nil))
		require.NoError(t, err, "the callback may be left out")
	}
}
