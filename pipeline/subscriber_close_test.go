package pipeline_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
)

func TestCloseLetsMessagesFinishAndGivesTheRestBack(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	w.fill(queue, numbered(0, 50)...)
	s := w.subscriber(brokerURL(), func(c *pipeline.SubscriberConfig) { c.Drain = patience })
	msgs := subscribe(t, s, queue)
	handled := receive(t, msgs, 10)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	until(t, "the subscriber is closing", func() bool {
		_, err := s.Subscribe(context.Background(), queue)
		return err != nil
	})
	for _, msg := range handled {
		require.NoError(t, msg.Context().Err(), "the context ended before the message was handled")
	}
	for i := range handled {
		handled[len(handled)-1-i].Ack()
	}
	require.NoError(t, <-closed)
	_, open := <-msgs
	require.False(t, open)
	require.Equal(t, numbers(10, 50), deliveredBodies(w.take(queue)))
}

// A close that comes while the reader takes messages must not let an
// acknowledgement cover one that nobody has seen.
func TestCloseInFullFlowLosesNothing(t *testing.T) {
	t.Parallel()
	for _, inFlight := range []int{1, 3, 50} {
		t.Run(fmt.Sprint(inFlight, " in flight"), func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			queue := w.queue(nil)
			w.fill(queue, numbered(0, 2500)...)
			conn := w.connection(brokerURL())
			highest := -1
			for range 60 {
				s := w.subscriber(brokerURL(), func(c *pipeline.SubscriberConfig) {
					c.Connection, c.Prefetch, c.InFlight = conn, 50, inFlight
				})
				last, closed := highest+5+rand.IntN(20), make(chan struct{})
				for msg := range subscribe(t, s, queue) {
					i, err := strconv.Atoi(string(msg.Payload))
					require.NoError(t, err)
					require.LessOrEqual(t, i, highest+1, "a message is lost")
					highest = max(highest, i)
					if i == last {
						go func() {
							defer close(closed)
							_ = s.Close()
						}()
					}
					msg.Ack()
				}
				<-closed
			}
		})
	}
}

func TestCloseGivesUpWhenTheGraceIsOver(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	w.fill(queue, numbered(0, 3)...)
	s := w.subscriber(brokerURL(), func(c *pipeline.SubscriberConfig) { c.Drain = 200 * time.Millisecond })
	window := receive(t, subscribe(t, s, queue), 3)
	window[0].Ack()
	within(t, 5*time.Second, func() { require.NoError(t, s.Close()) })
	require.ErrorIs(t, window[1].Context().Err(), context.Canceled)
	window[1].Ack() // too late, and nobody hears it
	require.Equal(t, numbers(1, 3), deliveredBodies(w.take(queue)))
}

func TestCloseIsSafeTwiceAndAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	s := w.subscriber(brokerURL())
	msgs := subscribe(t, s, queue)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() { _ = s.Close() })
	}
	wg.Wait()
	_, open := <-msgs
	require.False(t, open)
	_, err := s.Subscribe(context.Background(), queue)
	require.Error(t, err)
}

func TestTheEndOfTheContextEndsItsSubscriptionOnly(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue, other := w.queue(nil), w.queue(nil)
	s := w.subscriber(brokerURL())
	ctx, cancel := context.WithCancel(context.Background())
	msgs, err := s.Subscribe(ctx, queue)
	require.NoError(t, err)
	others := subscribe(t, s, other)
	w.fill(queue, numbered(0, 2)...)
	window := receive(t, msgs, 1)
	cancel()
	until(t, "the subscription has ended", func() bool {
		select {
		case _, open := <-msgs:
			return !open
		default:
			return false
		}
	})
	require.ErrorIs(t, window[0].Context().Err(), context.Canceled)
	require.Len(t, w.take(queue), 2)
	w.fill(other, numbered(0, 1)...)
	receive(t, others, 1)
}

func TestCloseBeforeTheFirstSubscriptionAndBeforeTheBroker(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	require.NoError(t, w.subscriber(brokerURL()).Close())
	s := w.subscriber("amqp://guest:guest@127.0.0.1:1/")
	msgs := subscribe(t, s, "nowhere")
	within(t, 2*time.Second, func() { require.NoError(t, s.Close()) })
	_, open := <-msgs
	require.False(t, open)
}

func TestCloseDoesNotHangOnABlackHole(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"while consuming", "while connecting"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			queue := w.queue(nil)
			w.fill(queue, numbered(0, 3)...)
			l := newLink(t, brokerURL())
			if when == "while connecting" {
				l.swallow()
			}
			s := w.subscriber(l.url, func(c *pipeline.SubscriberConfig) { c.Drain = 300 * time.Millisecond })
			msgs := subscribe(t, s, queue)
			if when == "while consuming" {
				receive(t, msgs, 3)[0].Ack()
				l.swallow()
			}
			within(t, 4*time.Second, func() { require.NoError(t, s.Close()) })
		})
	}
}
