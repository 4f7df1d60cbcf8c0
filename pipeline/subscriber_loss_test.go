package pipeline_test

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
)

// declaring is a Prepare that creates the queue where it is missing.
func (w *wire) declaring(_ context.Context, queue string) error {
	return w.try(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(queue, true, false, false, false, nil)
		return err
	})
}

// consumers waits for so many consumers of a queue that may not exist yet.
func (w *wire) consumers(queue string, n int) {
	w.t.Helper()
	until(w.t, fmt.Sprintf("%d consumers of %s", n, queue), func() bool {
		consumers := -1
		_ = w.try(func(ch *amqp.Channel) error {
			q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
			if err == nil {
				consumers = q.Consumers
			}
			return err
		})
		return consumers == n
	})
}

// A queue that is deleted takes its consumer along, and the library then closes
// the stream of deliveries on an open channel: what it yields from there on is no
// message.
func TestADeletedQueueYieldsNoMessagesAndIsConsumedAgain(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.name()
	msgs := subscribe(t, w.subscriber(brokerURL(), func(c *pipeline.SubscriberConfig) { c.Prepare = w.declaring }), queue)
	for range 6 {
		w.consumers(queue, 1)
		w.remove(queue)
	}
	w.consumers(queue, 1)
	select {
	case msg := <-msgs:
		require.FailNow(t, "nobody sent this", "message %q", msg.Payload)
	default:
	}
	w.fill(queue, numbered(0, 1)...)
	require.Equal(t, "0", string(receive(t, msgs, 1)[0].Payload))
}

func TestAMissingQueueIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.name()
	var states atomic.Value
	s := w.subscriber(brokerURL(), func(c *pipeline.SubscriberConfig) {
		c.OnState = func(s pipeline.State) { states.Store(s) }
	})
	msgs := subscribe(t, s, queue)
	until(t, "the subscriber waits", func() bool { return states.Load() == pipeline.Waiting })
	w.declare(queue, nil)
	w.fill(queue, numbered(0, 1)...)
	receive(t, msgs, 1)
	require.Equal(t, pipeline.Consuming, states.Load())
	require.NoError(t, s.Close())
	require.Equal(t, pipeline.Stopped, states.Load())
}

func TestTheContextsOfAWindowEndWithItsQueue(t *testing.T) {
	t.Parallel()
	for _, inFlight := range []int{1, 10} {
		t.Run(fmt.Sprint(inFlight, " in flight"), func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			queue := w.queue(nil)
			w.fill(queue, numbered(0, 1)...)
			msgs := subscribe(t, w.subscriber(brokerURL(), func(c *pipeline.SubscriberConfig) { c.Prefetch, c.InFlight = 10, inFlight }), queue)
			msg := receive(t, msgs, 1)[0]
			w.remove(queue)
			ended(t, msg.Context())
		})
	}
}

func TestWhatWasInFlightOnALostConnectionComesAgainInOrder(t *testing.T) {
	t.Parallel()
	for _, inFlight := range []int{1, 4, 100} {
		t.Run(fmt.Sprint(inFlight, " in flight"), func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			queue := w.queue(nil)
			w.fill(queue, numbered(0, 100)...)
			l := newLink(t, brokerURL())
			s := w.subscriber(l.url, func(c *pipeline.SubscriberConfig) { c.InFlight = inFlight })
			msgs := subscribe(t, s, queue)
			window := receive(t, msgs, inFlight)
			l.kill()
			for _, msg := range window {
				ended(t, msg.Context())
				require.ErrorIs(t, context.Cause(msg.Context()), context.Canceled)
			}
			again := receive(t, msgs, inFlight)
			require.Equal(t, numbers(0, inFlight), bodies(again))
			for i, msg := range again {
				d := pipeline.DeliveryFrom(msg.Context())
				require.True(t, d.Redelivered)
				require.Equal(t, pipeline.DeliveryFrom(window[i].Context()).DeliveryTag, d.DeliveryTag,
					"the tags are to be the same for what follows")
			}
			// These acks are for a channel that is gone. Sent on the new one they would
			// acknowledge the same tags, which nobody has finished.
			for _, msg := range window {
				msg.Ack()
			}
			require.NoError(t, s.Close())
			require.Equal(t, numbers(0, 100), deliveredBodies(w.take(queue)))
		})
	}
}

func TestNothingIsLostOrSkippedWhenConnectionsKeepBreaking(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	const n = 4000
	w.fill(queue, numbered(0, n)...)
	l := newLink(t, brokerURL())
	msgs := subscribe(t, w.subscriber(l.url), queue)
	seen, deliveries := -1, 0
	for seen < n-1 {
		msg := receive(t, msgs, 1)[0]
		i, err := strconv.Atoi(string(msg.Payload))
		require.NoError(t, err)
		require.LessOrEqual(t, i, seen+1, "messages were skipped")
		seen = max(seen, i)
		msg.Ack()
		if deliveries++; deliveries%500 == 0 {
			l.kill()
		}
	}
	require.Less(t, deliveries, 3*n)
}

func TestABrokerThatComesLateIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	w.fill(queue, numbered(0, 1)...)
	l := newLink(t, brokerURL())
	l.cut()
	failures := make(chan error, 1000)
	conn := w.connection(l.url)
	s := w.subscriber(l.url, func(c *pipeline.SubscriberConfig) {
		c.Connection = conn
		c.Prepare = func(ctx context.Context, _ string) error {
			ch, err := conn.Channel(ctx)
			if err != nil {
				failures <- err
				return err
			}
			return ch.Close()
		}
	})
	msgs := subscribe(t, s, queue)
	for range 3 {
		require.ErrorContains(t, <-failures, "connecting to the broker")
	}
	require.Error(t, conn.Err())
	l.restore()
	receive(t, msgs, 1)
	require.NoError(t, conn.Err())
}

// Nobody says that the peer is gone: only the missing heartbeats tell.
func TestABlackHoleIsFoundOut(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	w.fill(queue, numbered(0, 3)...)
	l := newLink(t, brokerURL())
	conn := w.connection(l.url)
	msgs := subscribe(t, w.subscriber(l.url, func(c *pipeline.SubscriberConfig) { c.Connection = conn }), queue)
	window := receive(t, msgs, 3)
	l.swallow()
	within(t, 20*time.Second, func() { ended(t, window[0].Context()) })
	until(t, "the connection says so", func() bool { return conn.Err() != nil })
	l.heal()
	require.Equal(t, numbers(0, 3), bodies(receive(t, msgs, 3)))
}
