package main

import (
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
)

// takeOver is how long it may take until a standby consumes.
const takeOver = 5 * time.Second

// Of two instances one consumes, by whatever means the queue has for that. When
// it goes, in order or dead, the other one takes over, and the order holds.
func TestOneConsumerAtATime(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, queueType string
		arguments       amqp.Table // of a queue that somebody else made
	}{
		{name: "exclusive consumer", queueType: "classic"},
		{name: "single active consumer", queueType: "quorum"},
		{name: "advisory lock", queueType: "quorum", arguments: amqp.Table{"x-queue-type": "quorum"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newCorner(t, "QUEUE_TYPE="+test.queueType)
			if test.arguments != nil {
				c.onChannel(func(ch *amqp.Channel) {
					_, err := ch.QueueDeclare(c.config().DatabaseQueueName, true, false, false, false, test.arguments)
					require.NoError(t, err)
				})
			}
			const n = 2000
			o, r := newOracle(c, newRandom(t), n), c.record(test.queueType)
			replicas := []*process{start(t, c.environ, "serve"), start(t, c.environ, "serve")}
			for _, p := range replicas {
				awaitReady(t, p.url())
			}
			var limit atomic.Int64 // the second half is sent when there is a standby again
			limit.Store(n / 2)
			sent := make(chan error, 1)
			go func() {
				sent <- o.send(t.Context(), n, func() int { return min(int(limit.Load()), r.distinct()+n/10) })
			}()
			active, standby := replicas[consuming(t, replicas)], replicas[1-consuming(t, replicas)]
			require.Empty(t, metric(t, standby.url(), "chat_messaging_outcomes_total"), "one at a time")

			r.await(n / 8)
			active.stop() // in order
			awaitOutcome(t, standby, time.Now())

			replacement := start(t, c.environ, "serve")
			awaitReady(t, replacement.url())
			limit.Store(n)
			r.await(n/2 + n/8)
			require.Empty(t, metric(t, replacement.url(), "chat_messaging_outcomes_total"), "one at a time")
			standby.kill() // dead
			awaitOutcome(t, replacement, time.Now())

			o.awaitSent(sent)
			r.await(n)
			o.awaitSettled()
			replacement.stop()
			o.requireStored(t)
			o.requireDispatched(t, r.all())
			o.requireNothingLeft(t)
		})
	}
}

// consuming waits until one of the replicas has consumed, and returns which.
func consuming(t *testing.T, replicas []*process) int {
	t.Helper()
	which := -1
	eventually(t, "nobody consumes", func() bool {
		for i, p := range replicas {
			if len(metric(t, p.url(), "chat_messaging_outcomes_total")) > 0 {
				which = i
			}
		}
		return which >= 0
	})
	return which
}

// awaitOutcome waits until the process has consumed, which must be soon.
func awaitOutcome(t *testing.T, p *process, since time.Time) {
	t.Helper()
	eventually(t, "nobody takes over", func() bool {
		return len(metric(t, p.url(), "chat_messaging_outcomes_total")) > 0
	})
	took := time.Since(since)
	require.Less(t, took, takeOver)
	t.Logf("taken over after %s", took.Round(time.Millisecond))
}
