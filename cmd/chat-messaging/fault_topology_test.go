package main

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
)

// The queue is deleted under the consumer, which the broker then cancels, several
// times. No message comes of that, and afterwards everything passes. What was in
// the queue is gone with it, and nobody can help that.
func TestFaultTheQueueIsDeleted(t *testing.T) {
	t.Parallel()
	s := newScene(newCorner(t), 500)
	app := s.serve()
	consumed := func() bool {
		_, consumers, there := s.look(s.config().DatabaseQueueName)
		return there && consumers == 1
	}
	eventually(t, "nobody consumes", consumed)
	for range 3 {
		s.onChannel(func(ch *amqp.Channel) {
			_, err := ch.QueueDelete(s.config().DatabaseQueueName, false, false, false)
			require.NoError(t, err)
		})
		eventually(t, "the queue does not come back", consumed)
	}
	require.Empty(t, metric(t, app.url, "chat_messaging_outcomes_total"), "a message came of a deleted queue")
	s.recovers("a deleted queue", s.load)
	s.audit(app.drain)
}

// The exchange of the events is deleted under load. Their rows stay; the exchange
// comes back, and when the dispatcher has bound its queue again it gets them all.
func TestFaultTheExchangeIsDeleted(t *testing.T) {
	t.Parallel()
	s := newScene(newCorner(t), 1000)
	app := s.serve()
	s.flowing()
	exchange := s.config().DeliveryExchangeName
	s.onChannel(func(ch *amqp.Channel) { require.NoError(t, ch.ExchangeDelete(exchange, false, false)) })
	awaitNotReady(t, app.url, "relay", "no queue is bound")
	require.NotZero(t, s.count("outbox"))
	s.recovers("a deleted exchange", func() { s.bindRecorder() })
	s.audit(app.drain)
}

// Nobody takes the events for a while. They are kept, and go out in order.
func TestFaultNobodyTakesTheEvents(t *testing.T) {
	t.Parallel()
	s := newScene(newCorner(t), 1000)
	app := s.serve()
	s.flowing()
	s.onChannel(func(ch *amqp.Channel) {
		require.NoError(t, ch.QueueUnbind(s.r.queue, "", s.config().DeliveryExchangeName, nil))
	})
	awaitNotReady(t, app.url, "relay", "no queue is bound")
	s.stalled()
	eventually(t, "storing goes on", func() bool { return s.count("messages") == int(s.o.done.Load()) })
	s.recovers("events that nobody takes", func() { s.bindRecorder() })
	require.Zero(t, s.audit(app.drain), "what came back was never out")
}

// The queue for poisoned messages is deleted, where the service may not create
// it. A bad message then stays where it is, unacknowledged, until there is a
// place for it.
func TestFaultThePoisonQueueIsDeleted(t *testing.T) {
	t.Parallel()
	s := newScene(newCorner(t), 500)
	s.serve().drain() // creates what there is
	app := s.serve("AMQP_DECLARE=false")
	poison := s.config().PoisonQueueName
	s.onChannel(func(ch *amqp.Channel) {
		_, err := ch.QueueDelete(poison, false, false, false)
		require.NoError(t, err)
	})
	// Not with send, which creates what is missing.
	s.onChannel(func(ch *amqp.Channel) {
		require.NoError(t, ch.PublishWithContext(t.Context(), s.config().DatabaseExchangeName, "", true, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("this is no message")}))
	})
	eventually(t, "it does not try to park the message", func() bool {
		return counter(t, app.url, "chat_messaging_park_failures_total") > 0
	})
	s.flowing() // others are stored and dispatched meanwhile
	require.Empty(t, metric(t, app.url, "chat_messaging_outcomes_total")[`code="malformed_json",outcome="poisoned"`])
	app.drain()
	eventually(t, "the bad message is not in its queue", func() bool {
		waiting, _, _ := s.look(s.config().DatabaseQueueName)
		return waiting > 0
	})

	s.onChannel(func(ch *amqp.Channel) {
		_, err := ch.QueueDeclare(poison, true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
		require.NoError(t, err)
	})
	app = s.serve("AMQP_DECLARE=false")
	eventually(t, "the bad message is not parked", func() bool {
		waiting, _, _ := s.look(poison)
		return waiting == 1
	})
	s.onChannel(func(ch *amqp.Channel) {
		d, ok, err := ch.Get(poison, true)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, "this is no message", string(d.Body))
	})
	s.audit(app.drain)
}

// look inspects a queue that may not be there.
func (c *corner) look(queue string) (waiting, consumers int, there bool) {
	c.t.Helper()
	c.onChannel(func(ch *amqp.Channel) {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		waiting, consumers, there = q.Messages, q.Consumers, err == nil
	})
	return waiting, consumers, there
}

// bindRecorder lets the recorder hear of events again.
func (s *scene) bindRecorder() {
	s.t.Helper()
	s.onChannel(func(ch *amqp.Channel) {
		require.NoError(s.t, ch.QueueBind(s.r.queue, "", s.config().DeliveryExchangeName, false, nil))
	})
}
