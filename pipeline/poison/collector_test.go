package poison_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline/poison"
)

func TestMessagesMoveFromTheQueueIntoTheTable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var sent []amqp.Publishing
	for n := range 450 {
		sent = append(sent, b.parked(n, fmt.Sprintf("%d", n)))
	}
	sent = append(sent, amqp.Publishing{Body: []byte("a stranger's")})
	b.publish(b.topology.PoisonQueue, sent...)
	// Two at once share the work.
	stops := []func(){b.collect(), b.collect()}
	until(t, "all are collected", func() bool { return len(b.entries()) == len(sent) })
	for _, stop := range stops {
		stop()
	}
	require.Zero(t, b.depth(b.topology.PoisonQueue), "what is collected is acknowledged")

	// As after a crash between the commit and the acknowledgement.
	b.publish(b.topology.PoisonQueue, sent[:450]...)
	b.collect()
	until(t, "the queue is empty", func() bool { return b.depth(b.topology.PoisonQueue) == 0 })
	require.Len(t, b.entries(), len(sent))
}

func TestTheQueueKeepsWhatCannotBeCollected(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var away atomic.Bool
	away.Store(true)
	asked := make(chan struct{}, 1000)
	stop := b.collect(func(c *poison.CollectorConfig) {
		c.Migrated = func(context.Context) error {
			asked <- struct{}{}
			if away.Load() {
				return errAway
			}
			return nil
		}
	})
	b.publish(b.topology.PoisonQueue, b.parked(1, "1"))
	<-asked
	<-asked
	require.Empty(t, b.entries())
	away.Store(false)
	until(t, "it is collected once it can be", func() bool { return len(b.entries()) == 1 })

	// A table that cannot be written to is found by the statement.
	_, err := b.db.Exec(`ALTER TABLE poisoned RENAME TO hidden`)
	require.NoError(t, err)
	b.publish(b.topology.PoisonQueue, b.parked(2, "2"), b.parked(3, "3"))
	before := len(asked)
	until(t, "it is tried again", func() bool { return len(asked) > before+1 })
	_, err = b.db.Exec(`ALTER TABLE hidden RENAME TO poisoned`)
	require.NoError(t, err)
	until(t, "all are collected", func() bool { return len(b.entries()) == 3 })
	stop()
	require.Zero(t, b.depth(b.topology.PoisonQueue))
}

func TestACollectorSaysWhatItLacks(t *testing.T) {
	t.Parallel()
	_, err := poison.NewCollector(poison.CollectorConfig{})
	require.ErrorContains(t, err, "DB is required")
	_, err = poison.NewWorker(poison.WorkerConfig{})
	require.ErrorContains(t, err, "Connection is required")
}
