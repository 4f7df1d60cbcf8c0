package pipeline_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
)

// full gives a user a queue that takes so many events and refuses the rest.
func (b *bench) full(user int64, room int) (queue string) {
	b.t.Helper()
	ch, err := b.admin.Channel()
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = ch.Close() })
	require.NoError(b.t, ch.ExchangeDeclare(b.topology.DeliveryExchange, "direct", true, false, false, false, nil))
	q, err := ch.QueueDeclare("", false, true, true, false,
		amqp.Table{"x-max-length": int32(room), "x-overflow": "reject-publish"})
	require.NoError(b.t, err)
	require.NoError(b.t, ch.QueueBind(q.Name, strconv.FormatInt(user, 10), b.topology.DeliveryExchange, false, nil))
	return q.Name
}

// consume takes whatever the queue holds and will hold.
func (b *bench) consume(queue string) <-chan string {
	b.t.Helper()
	ch, err := b.admin.Channel()
	require.NoError(b.t, err)
	deliveries, err := ch.Consume(queue, "", true, false, false, false, nil)
	require.NoError(b.t, err)
	ids := make(chan string, 10_000)
	go func() {
		for d := range deliveries {
			ids <- d.MessageId
		}
	}()
	return ids
}

// arrive waits until the first copies of all the events have come, and returns
// them in that order.
func arrive(t testing.TB, ids <-chan string, n int) []string {
	t.Helper()
	timeout := time.After(patience)
	var all []string
	for len(first(all)) < n {
		select {
		case id := <-ids:
			all = append(all, id)
		case <-timeout:
			require.FailNow(t, "events are missing", "%d of %d came", len(first(all)), n)
		}
	}
	return first(all)
}

func TestAChatWhoseEventsAreRefusedWaitsAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	b := newBench(t, withRouting(pipeline.RoutingUser))
	queue := b.full(1, 1)
	others := b.dispatcher("2")
	var stuck, free []string
	for range 10 {
		stuck = append(stuck, b.put(7, 1, 1)...)
		free = append(free, b.put(8, 2, 1)...)
	}
	r := b.relay()
	require.Equal(t, free, idsOf(next(t, others, 10)), "one full queue holds up the others")
	until(t, "only the refused ones are left", func() bool { return b.left() == 9 })
	// The rows go a moment before the alarm comes on.
	until(t, "the alarm is on", func() bool { return r.Err() != nil })
	require.ErrorIs(t, r.Err(), pipeline.ErrNacked)
	more := b.put(8, 2, 5)
	require.Equal(t, more, idsOf(next(t, others, 5)))
	require.ErrorIs(t, r.Err(), pipeline.ErrNacked, "the alarm is off while a chat waits")
	stuck = append(stuck, b.put(7, 1, 3)...)

	require.Equal(t, stuck, arrive(t, b.consume(queue), 13), "the chat lost its order")
	b.empty()
	until(t, "the alarm is over", func() bool { return r.Err() == nil })
}

// The other direction of a refused chat waits with it: events of a chat keep
// their order whoever they are for.
func TestAChatWaitsAsAWhole(t *testing.T) {
	t.Parallel()
	b := newBench(t, withRouting(pipeline.RoutingUser))
	queue := b.full(1, 0)
	others := b.dispatcher("2")
	b.put(7, 1, 1)
	answer := b.put(7, 2, 1)
	r := b.relay()
	until(t, "it is held", func() bool { return r.held.Load() > 2 })
	require.Equal(t, 2, b.left())
	b.remove(queue)
	require.Equal(t, answer, first(idsOf(next(t, others, 1))))
	b.empty()
}

func (b *bench) remove(queue string) {
	b.onChannel(func(ch *amqp.Channel) { _, _ = ch.QueueDelete(queue, false, false, false) })
}

// Events that name no chat share no order, so one user's full queue is no matter
// for another user.
func TestEventsOfNoChatWaitForTheirUserOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t, withRouting(pipeline.RoutingUser))
	b.full(1, 0)
	others := b.dispatcher("2")
	b.put(0, 1, 3)
	free := b.put(0, 2, 3)
	r := b.relay()
	require.Equal(t, free, idsOf(next(t, others, 3)))
	until(t, "it is held", func() bool { return errors.Is(r.Err(), pipeline.ErrNacked) })
	until(t, "only its events are left", func() bool { return b.left() == 3 })
}

// The oldest rows are of a chat that waits for long, and there are more of them
// than one read takes. A chat behind them must get its turn all the same.
func TestALongQueueOfAWaitingChatHidesNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t, withRouting(pipeline.RoutingUser))
	b.full(1, 0)
	short := b.full(2, 0)
	others := b.dispatcher("3")
	b.put(7, 1, 60)
	waiting := b.put(8, 2, 3)
	free := b.put(9, 3, 3)
	r := b.relay(func(c *pipeline.RelayConfig) { c.Batch, c.Sweep = 10, time.Hour })
	require.Equal(t, free, idsOf(next(t, others, 3)))
	until(t, "both are held", func() bool { return r.held.Load() > 20 })
	// Room at last, for the chat behind. The new queue comes before the full one
	// goes: in between, the user would be offline and the events done.
	ids := b.userQueue(2)
	b.remove(short)
	within(t, patience/2, func() { require.Equal(t, waiting, arrive(t, ids, 3)) })
	until(t, "only the long queue is left", func() bool { return b.left() == 60 })
	free = b.put(9, 3, 3)
	require.Equal(t, free, idsOf(next(t, others, 3)))
}

// userQueue is a queue for a user that takes everything.
func (b *bench) userQueue(user int64) <-chan string {
	b.t.Helper()
	ch, err := b.admin.Channel()
	require.NoError(b.t, err)
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	require.NoError(b.t, err)
	require.NoError(b.t, ch.QueueBind(q.Name, strconv.FormatInt(user, 10), b.topology.DeliveryExchange, false, nil))
	return b.consume(q.Name)
}

// What an operator deletes by hand must not leave an alarm behind.
func TestAnAlarmEndsWithTheLastRow(t *testing.T) {
	t.Parallel()
	b := newBench(t, withRouting(pipeline.RoutingUser))
	b.full(1, 0)
	b.put(7, 1, 2)
	r := b.relay()
	until(t, "it is held", func() bool { return errors.Is(r.Err(), pipeline.ErrNacked) })
	_, err := b.db.ExecContext(context.Background(), `DELETE FROM outbox`)
	require.NoError(t, err)
	until(t, "the alarm is over", func() bool { return r.Err() == nil })
}
