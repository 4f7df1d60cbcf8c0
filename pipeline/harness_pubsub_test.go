package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
)

// wire is one test's view of the broker, for tests of the adapters that need no
// database: queues of its own, and a connection that nothing disturbs.
type wire struct {
	t      testing.TB
	admin  *amqp.Connection
	logger *slog.Logger
}

func newWire(t testing.TB) *wire {
	t.Helper()
	admin, err := amqp.Dial(brokerURL())
	require.NoError(t, err, "no RabbitMQ for the tests: `make services` starts one; RABBITMQ_URL names another")
	t.Cleanup(func() { _ = admin.Close() })
	return &wire{t: t, admin: admin, logger: testLogger(t)}
}

// on runs fn on a channel of the undisturbed connection.
func (w *wire) on(fn func(*amqp.Channel) error) {
	w.t.Helper()
	require.NoError(w.t, w.try(fn))
}

func (w *wire) try(fn func(*amqp.Channel) error) error {
	ch, err := w.admin.Channel()
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }()
	return fn(ch)
}

// name returns a name for a queue or an exchange, which is deleted at the end.
func (w *wire) name() string {
	name := "t." + strings.ReplaceAll(uuid.NewString(), "-", "")[:16]
	w.t.Cleanup(func() {
		_ = w.try(func(ch *amqp.Channel) error {
			_, err := ch.QueueDelete(name, false, false, false)
			return err
		})
		_ = w.try(func(ch *amqp.Channel) error { return ch.ExchangeDelete(name, false, false) })
	})
	return name
}

// queue declares a queue.
func (w *wire) queue(args amqp.Table) string {
	w.t.Helper()
	name := w.name()
	w.declare(name, args)
	return name
}

func (w *wire) declare(name string, args amqp.Table) {
	w.t.Helper()
	w.on(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(name, true, false, false, false, args)
		return err
	})
}

func (w *wire) remove(queue string) {
	w.t.Helper()
	w.on(func(ch *amqp.Channel) error {
		_, err := ch.QueueDelete(queue, false, false, false)
		return err
	})
}

// numbered are publishings whose body and message id are their number.
func numbered(from, to int) []amqp.Publishing {
	out := make([]amqp.Publishing, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, amqp.Publishing{MessageId: strconv.Itoa(i), Body: []byte(strconv.Itoa(i)), DeliveryMode: amqp.Persistent})
	}
	return out
}

// fill puts publishings into a queue, with confirms.
func (w *wire) fill(queue string, publishings ...amqp.Publishing) {
	w.t.Helper()
	w.on(func(ch *amqp.Channel) error {
		if err := ch.Confirm(false); err != nil {
			return err
		}
		confirms := make([]*amqp.DeferredConfirmation, len(publishings))
		for i, p := range publishings {
			var err error
			if confirms[i], err = ch.PublishWithDeferredConfirm("", queue, true, false, p); err != nil {
				return err
			}
		}
		for _, c := range confirms {
			if !c.Wait() {
				return fmt.Errorf("the broker refused a publishing to %s", queue)
			}
		}
		return nil
	})
}

// state returns how many messages are ready in a queue and how many consumers it
// has.
func (w *wire) state(queue string) (ready, consumers int) {
	w.t.Helper()
	w.on(func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		ready, consumers = q.Messages, q.Consumers
		return err
	})
	return ready, consumers
}

// take empties a queue.
func (w *wire) take(queue string) []amqp.Delivery {
	w.t.Helper()
	var out []amqp.Delivery
	w.on(func(ch *amqp.Channel) error {
		for {
			d, ok, err := ch.Get(queue, true)
			if err != nil || !ok {
				return err
			}
			out = append(out, d)
		}
	})
	return out
}

// connection returns one of ours, closed at the end.
func (w *wire) connection(broker string) *pipeline.Connection {
	w.t.Helper()
	c, err := pipeline.NewConnection(broker, "test "+w.t.Name(), w.logger)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// subscriber returns one of ours, closed at the end.
func (w *wire) subscriber(broker string, change ...func(*pipeline.SubscriberConfig)) *pipeline.Subscriber {
	w.t.Helper()
	cfg := pipeline.SubscriberConfig{
		Connection: w.connection(broker), Prefetch: 100, Drain: time.Second, MaxPause: 50 * time.Millisecond, Logger: w.logger,
	}
	for _, fn := range change {
		fn(&cfg)
	}
	s, err := pipeline.NewSubscriber(cfg)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = s.Close() })
	return s
}

// publisher returns one of ours, closed at the end.
func (w *wire) publisher(broker string, change ...func(*pipeline.PublisherConfig)) *pipeline.Publisher {
	w.t.Helper()
	cfg := pipeline.PublisherConfig{Connection: w.connection(broker), Logger: w.logger}
	for _, fn := range change {
		fn(&cfg)
	}
	p, err := pipeline.NewPublisher(cfg)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = p.Close() })
	return p
}

func subscribe(t testing.TB, s *pipeline.Subscriber, queue string) <-chan *message.Message {
	t.Helper()
	msgs, err := s.Subscribe(context.Background(), queue)
	require.NoError(t, err)
	return msgs
}

// receive returns the next n messages, not settled.
func receive(t testing.TB, msgs <-chan *message.Message, n int) []*message.Message {
	t.Helper()
	timeout := time.After(patience)
	out := make([]*message.Message, 0, n)
	for len(out) < n {
		select {
		case msg, ok := <-msgs:
			require.True(t, ok, "the subscription ended after %d of %d messages", len(out), n)
			out = append(out, msg)
		case <-timeout:
			require.FailNow(t, "messages are missing", "%d of %d came", len(out), n)
		}
	}
	return out
}

func bodies(msgs []*message.Message) []string {
	out := make([]string, len(msgs))
	for i, msg := range msgs {
		out[i] = string(msg.Payload)
	}
	return out
}

func deliveredBodies(deliveries []amqp.Delivery) []string {
	out := make([]string, len(deliveries))
	for i, d := range deliveries {
		out[i] = string(d.Body)
	}
	return out
}

// numbers are the bodies of numbered(from, to).
func numbers(from, to int) []string {
	out := make([]string, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, strconv.Itoa(i))
	}
	return out
}

// ended waits for the end of a context.
func ended(t testing.TB, ctx context.Context) {
	t.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(patience):
		require.FailNow(t, "the context does not end")
	}
}

// until waits for a condition.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(patience)
	for !condition() {
		select {
		case <-ticker.C:
		case <-timeout:
			require.FailNow(t, "this never came true: "+what)
		}
	}
}

// within fails the test unless fn returns in time.
func within(t testing.TB, limit time.Duration, fn func()) {
	t.Helper()
	started := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
		require.Less(t, time.Since(started), limit)
	case <-time.After(patience):
		require.FailNow(t, "still not done")
	}
}

var errOutage = errors.New("something is away")

// errorIs is errors.Is that takes nil for success.
func errorIs(err, want error) bool {
	if want == nil {
		return err == nil
	}
	return errors.Is(err, want)
}
