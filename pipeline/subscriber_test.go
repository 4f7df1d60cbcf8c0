package pipeline_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/middleware"
	"chat-messaging/pipeline"
)

func TestMessagesAreHandedOutInOrderAWindowAtATime(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	w.fill(queue, numbered(0, 300)...)
	msgs := subscribe(t, w.subscriber(brokerURL()), queue)
	window := receive(t, msgs, 100)
	require.Equal(t, numbers(0, 100), bodies(window))
	select {
	case msg := <-msgs:
		require.FailNow(t, "more than the window was handed out", "message %s", msg.Payload)
	case <-time.After(100 * time.Millisecond):
	}
	for _, msg := range window {
		msg.Ack()
	}
	rest := receive(t, msgs, 100)
	require.Equal(t, numbers(100, 200), bodies(rest))
}

// Settled in any order, messages are acknowledged in the order of arrival: those
// behind one that is still being handled stay unacknowledged.
func TestMessagesAreAcknowledgedInOrder(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	w.fill(queue, numbered(0, 100)...)
	s := w.subscriber(brokerURL())
	window := receive(t, subscribe(t, s, queue), 100)
	for _, i := range rand.Perm(100) {
		if i != 40 {
			window[i].Ack()
		}
	}
	ended(t, window[39].Context())
	require.NoError(t, window[41].Context().Err(), "a message behind an open one was let go")
	require.NoError(t, s.Close())
	left := w.take(queue)
	require.Equal(t, numbers(40, 100), deliveredBodies(left))
	for _, d := range left {
		require.True(t, d.Redelivered)
	}
}

func TestAMessageAloneIsAcknowledgedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	w.fill(queue, numbered(0, 1)...)
	msgs := subscribe(t, w.subscriber(brokerURL(), func(c *pipeline.SubscriberConfig) { c.Prefetch = 1 }), queue)
	receive(t, msgs, 1)[0].Ack()
	// With a window of one the next can only come after the acknowledgement.
	w.fill(queue, numbered(1, 3)...)
	for i := range 2 {
		msg := receive(t, msgs, 1)[0]
		require.Equal(t, numbers(1, 3)[i], string(msg.Payload))
		msg.Ack()
	}
}

func TestANackGivesTheWindowBackInOrder(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	w.fill(queue, numbered(0, 20)...)
	msgs := subscribe(t, w.subscriber(brokerURL()), queue)
	window := receive(t, msgs, 20)
	for _, i := range []int{0, 1, 2, 4, 5, 9} {
		window[i].Ack()
	}
	window[3].Nack()
	again := receive(t, msgs, 17)
	require.Equal(t, numbers(3, 20), bodies(again), "the order is lost, or a message")
	for _, msg := range window[3:] {
		require.ErrorIs(t, context.Cause(msg.Context()), context.Canceled)
	}
	for _, msg := range again {
		msg.Ack()
	}
	w.fill(queue, numbered(20, 21)...)
	require.Equal(t, "20", string(receive(t, msgs, 1)[0].Payload))
}

func TestAMessageThatIsAlwaysNackedDoesNotSpin(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	w.fill(queue, numbered(0, 1)...)
	msgs := subscribe(t, w.subscriber(brokerURL(), func(c *pipeline.SubscriberConfig) { c.MaxPause = time.Second }), queue)
	deliveries := 0
	for end := time.After(time.Second); ; {
		select {
		case msg := <-msgs:
			deliveries++
			msg.Nack()
			continue
		case <-end:
		}
		break
	}
	// 50, 100, 200, 400 ms, each at least half of it.
	require.Greater(t, deliveries, 1)
	require.Less(t, deliveries, 8)
}

func TestRewindGivesTheWindowBack(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	w.fill(queue, numbered(0, 5)...)
	s := w.subscriber(brokerURL())
	msgs := subscribe(t, s, queue)
	window := receive(t, msgs, 5)
	s.Rewind(errOutage)
	again := receive(t, msgs, 5)
	require.Equal(t, numbers(0, 5), bodies(again))
	for i, msg := range window {
		require.Error(t, msg.Context().Err())
		require.NoError(t, again[i].Context().Err())
	}
}

// What a message may carry beside its body is nobody's to choose: a stock
// subscriber gives most of these back to the broker for ever.
func TestHeadersAndPropertiesOfAnyKindComeThrough(t *testing.T) {
	t.Parallel()
	at := time.Date(2025, 12, 16, 20, 19, 31, 0, time.UTC)
	for name, p := range map[string]amqp.Publishing{
		"nothing at all": {},
		"an empty body":  {MessageId: "1", Body: []byte{}},
		"numbers": {Headers: amqp.Table{
			"int8": int8(-1), "byte": byte(1), "int16": int16(-2), "uint16": uint16(2), "int32": int32(-3), "uint32": uint32(3),
			"int64": int64(-4), "float32": float32(1.5), "float64": 2.5, "x-delivery-count": int64(7),
		}},
		"a bool, a time, a decimal, nothing": {Headers: amqp.Table{
			"bool": true, "time": at, "decimal": amqp.Decimal{Scale: 2, Value: 12345}, "nil": nil,
		}},
		"bytes": {Headers: amqp.Table{"bytes": []byte{0, 0xff, 0xfe}}},
		"a table and an array": {Headers: amqp.Table{
			"table": amqp.Table{"inner": amqp.Table{"deep": []any{int32(1), "two", nil, amqp.Table{"x": true}}}}, "array": []any{"a", int64(1)},
		}},
		"a text that is not UTF-8":  {Headers: amqp.Table{"text": "\xff\xfe\x00"}, MessageId: "\xff\xfe"},
		"a header of ten kilobytes": {Headers: amqp.Table{"long": strings.Repeat("x", 10<<10)}},
		"a watermill id that is no text": {Headers: amqp.Table{
			"_watermill_message_uuid": int32(5), "uuid": true,
		}},
		"odd properties": {
			ContentType: "text/✉", ContentEncoding: "gzip", Priority: 200, CorrelationId: "c", ReplyTo: "r", Expiration: "3600000",
			MessageId: strings.Repeat("i", 255), Timestamp: at, Type: "t", UserId: brokerUser(t), AppId: "a",
		},
		"a time before all times": {Timestamp: time.Unix(-62135596800, 0)},
		"a time after all times":  {Timestamp: time.Unix(1<<62, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			queue := w.queue(nil)
			if p.Body == nil {
				p.Body = []byte("the body")
			}
			w.fill(queue, p)
			s := w.subscriber(brokerURL())
			msg := receive(t, subscribe(t, s, queue), 1)[0]
			require.Equal(t, string(p.Body), string(msg.Payload))
			d := pipeline.DeliveryFrom(msg.Context())
			require.NotNil(t, d)
			for key, value := range p.Headers {
				if at, ok := value.(time.Time); ok {
					require.True(t, at.Equal(d.Headers[key].(time.Time)))
					continue
				}
				require.Equal(t, value, d.Headers[key], key)
			}
			require.Equal(t, p.ContentType, d.ContentType)
			require.Equal(t, p.MessageId, d.MessageId)
			require.NotEmpty(t, msg.UUID)
			msg.Ack()
			ended(t, msg.Context())
			require.NoError(t, s.Close())
			require.Empty(t, w.take(queue))
		})
	}
}

// Watermill's promise to handlers: the context ends when the message is settled.
func TestAMessagesContextEndsWithIt(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	w.fill(queue, numbered(0, 3)...)
	type key struct{}
	s := w.subscriber(brokerURL())
	msgs, err := s.Subscribe(context.WithValue(context.Background(), key{}, "value"), queue)
	require.NoError(t, err)
	window := receive(t, msgs, 3)
	for _, msg := range window {
		require.Equal(t, "value", msg.Context().Value(key{}))
		require.NoError(t, msg.Context().Err())
	}
	child, cancel := context.WithTimeout(window[0].Context(), patience)
	defer cancel()
	window[0].Ack()
	ended(t, window[0].Context())
	ended(t, child)
	require.ErrorIs(t, child.Err(), context.Canceled)
	require.NoError(t, window[1].Context().Err())
	// Nobody has asked for this one's end before it came.
	window[1].Ack()
	until(t, "the context has ended", func() bool { return window[1].Context().Err() != nil })
	ended(t, window[1].Context())
	require.NoError(t, window[2].Context().Err())
}

func TestMessagesCarryTicketsInTheOrderOfTheirArrival(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	w.fill(queue, numbered(0, 3)...)
	msgs := subscribe(t, w.subscriber(brokerURL(), func(c *pipeline.SubscriberConfig) {
		c.Arrivals = middleware.NewArrivals()
	}), queue)
	seen := map[*middleware.Ticket]bool{}
	for _, msg := range receive(t, msgs, 3) {
		ticket := middleware.TicketFrom(msg.Context())
		require.NotNil(t, ticket)
		seen[ticket] = true
		msg.Ack()
	}
	require.Len(t, seen, 3)
}

func TestInFlightBoundsWhatIsHandedOut(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	w.fill(queue, numbered(0, 20)...)
	msgs := subscribe(t, w.subscriber(brokerURL(), func(c *pipeline.SubscriberConfig) { c.InFlight = 3 }), queue)
	open := receive(t, msgs, 3)
	for i := 3; i < 20; i++ {
		select {
		case msg := <-msgs:
			require.FailNow(t, "a fourth message was handed out", "message %s", msg.Payload)
		case <-time.After(10 * time.Millisecond):
		}
		open[0].Ack()
		open = append(open[1:], receive(t, msgs, 1)...)
	}
	require.Equal(t, numbers(17, 20), bodies(open))
}

func TestOneQueueMayBeSubscribedToMoreThanOnce(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	s := w.subscriber(brokerURL(), func(c *pipeline.SubscriberConfig) { c.Prefetch = 1 })
	one, two := subscribe(t, s, queue), subscribe(t, s, queue)
	until(t, "both consume", func() bool { _, n := w.state(queue); return n == 2 })
	w.fill(queue, numbered(0, 2)...)
	got := []*message.Message{receive(t, one, 1)[0], receive(t, two, 1)[0]}
	require.ElementsMatch(t, numbers(0, 2), bodies(got))
}

func TestASubscriberChecksItsConfiguration(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	for name, change := range map[string]func(*pipeline.SubscriberConfig){
		"Connection": func(c *pipeline.SubscriberConfig) { c.Connection = nil },
		"Logger":     func(c *pipeline.SubscriberConfig) { c.Logger = nil },
		"Prefetch":   func(c *pipeline.SubscriberConfig) { c.Prefetch = 65536 },
		"InFlight":   func(c *pipeline.SubscriberConfig) { c.Prefetch, c.InFlight = 10, 11 },
		"Lock":       func(c *pipeline.SubscriberConfig) { c.Exclusive = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := pipeline.SubscriberConfig{Connection: w.connection(brokerURL()), Logger: w.logger}
			change(&cfg)
			_, err := pipeline.NewSubscriber(cfg)
			require.ErrorContains(t, err, name)
		})
	}
}
