package pipeline_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
)

// messages are the messages of numbered(from, to).
func messages(from, to int) []*message.Message {
	out := make([]*message.Message, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, message.NewMessage(strconv.Itoa(i), []byte(strconv.Itoa(i))))
	}
	return out
}

func TestOneCallKeepsItsOrder(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	require.NoError(t, w.publisher(brokerURL()).Publish(queue, messages(0, 3000)...))
	require.Equal(t, numbers(0, 3000), deliveredBodies(w.take(queue)))
}

func TestConfirmsArePipelined(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	l := newLink(t, brokerURL())
	p := w.publisher(l.url)
	require.NoError(t, p.Publish(queue, messages(0, 1)...))
	// No confirm gets through, and yet all of them are sent.
	l.swallow("downstream")
	result := make(chan error, 1)
	go func() { result <- p.Publish(queue, messages(1, 500)...) }()
	until(t, "everything is in the queue", func() bool { n, _ := w.state(queue); return n == 500 })
	require.Empty(t, result)
	l.heal()
	require.ErrorIs(t, <-result, pipeline.ErrUnconfirmed)
}

func TestACallMayBeLongerThanTheWindow(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	p := w.publisher(brokerURL(), func(c *pipeline.PublisherConfig) { c.MaxOutstanding = 10 })
	var wg sync.WaitGroup
	for g := range 5 {
		wg.Go(func() {
			msgs := messages(0, 200)
			for _, msg := range msgs {
				msg.Payload = fmt.Appendf(nil, "%d %s", g, msg.Payload)
			}
			if err := p.Publish(queue, msgs...); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	next := map[string]int{}
	all := deliveredBodies(w.take(queue))
	require.Len(t, all, 1000)
	for _, body := range all {
		g, i, _ := strings.Cut(body, " ")
		require.Equal(t, strconv.Itoa(next[g]), i, "a call lost its order")
		next[g]++
	}
}

func TestTheWindowBoundsWhatIsOutstanding(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	l := newLink(t, brokerURL())
	p := w.publisher(l.url, func(c *pipeline.PublisherConfig) { c.MaxOutstanding = 7 })
	require.NoError(t, p.Publish(queue, messages(0, 1)...))
	l.swallow("downstream")
	ctx, cancel := context.WithCancel(context.Background())
	results := make(chan []error, 3)
	for range 3 {
		go func() { results <- p.PublishEach(ctx, queue, messages(0, 20)) }()
	}
	until(t, "the window is full", func() bool { n, _ := w.state(queue); return n == 8 })
	cancel()
	for range 3 {
		for _, err := range <-results {
			require.ErrorIs(t, err, context.Canceled)
		}
	}
	n, _ := w.state(queue)
	require.Equal(t, 8, n, "more was sent than the window holds")
}

func TestExactlyTheUnroutableOnesAreErrors(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue, nowhere := w.queue(nil), w.name()
	byMetadata := func(c *pipeline.PublisherConfig) {
		c.RoutingKey = func(_ string, msg *message.Message) string { return msg.Metadata.Get("key") }
	}
	for name, id := range map[string]func(i int) string{
		"each with its own id":  strconv.Itoa,
		"two share an id":       func(i int) string { return strconv.Itoa(i / 2) },
		"all have the same id":  func(int) string { return "same" },
		"none of them has one":  func(int) string { return "" },
		"ids far apart":         func(i int) string { return strconv.Itoa(i % 50) },
		"an id is another's":    func(i int) string { return strconv.Itoa(i ^ 1) },
		"an id of 255 octets":   func(i int) string { return fmt.Sprintf("%0255d", i) },
		"an id that is no text": func(i int) string { return fmt.Sprintf("é%d", i) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := w.publisher(brokerURL(), byMetadata, func(c *pipeline.PublisherConfig) { c.MaxOutstanding = 30 })
			msgs := messages(0, 100)
			for i, msg := range msgs {
				msg.UUID = id(i)
				msg.Metadata.Set("key", queue)
				if i%3 == 1 {
					msg.Metadata.Set("key", nowhere)
				}
			}
			for i, err := range p.PublishEach(context.Background(), "", msgs) {
				if i%3 == 1 {
					require.ErrorIs(t, err, pipeline.ErrUnroutable, "message %d", i)
				} else {
					require.NoError(t, err, "message %d", i)
				}
			}
		})
	}
}

func TestUnroutableMessagesOfCallsAtTheSameTimeAreToldApart(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue, nowhere := w.queue(nil), w.name()
	p := w.publisher(brokerURL())
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			topic, want := queue, error(nil)
			if i%2 == 1 {
				topic, want = nowhere, pipeline.ErrUnroutable
			}
			for _, err := range p.PublishEach(context.Background(), topic, messages(0, 50)) {
				if !errorIs(err, want) {
					t.Errorf("%v instead of %v", err, want)
				}
			}
		})
	}
	wg.Wait()
	require.Len(t, w.take(queue), 500)
}

func TestAFullQueueRefuses(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(amqp.Table{"x-max-length": int32(5), "x-overflow": "reject-publish"})
	p := w.publisher(brokerURL())
	errs := p.PublishEach(context.Background(), queue, messages(0, 20))
	refused := 0
	for _, err := range errs {
		if err != nil {
			require.ErrorIs(t, err, pipeline.ErrNacked)
			refused++
		}
	}
	require.Len(t, w.take(queue), 20-refused)
	require.NoError(t, p.Publish(queue, messages(0, 1)...), "the channel is lost")
}

// Each of these costs the connection if it is sent.
func TestWhatAMQPCannotCarryIsRefusedWithoutLosingTheConnection(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	long := strings.Repeat("x", 256)
	conn := w.connection(brokerURL())
	p := w.publisher(brokerURL(), func(c *pipeline.PublisherConfig) { c.Connection = conn })
	require.NoError(t, p.Publish(queue, messages(0, 1)...))
	with := func(key, value string) *message.Message {
		msg := message.NewMessage("bad", []byte("bad"))
		msg.Metadata.Set(key, value)
		return msg
	}
	for name, msg := range map[string]*message.Message{
		"a long id":            message.NewMessage(long, nil),
		"an id that is bytes":  message.NewMessage("\xff\xfe", nil),
		"a long metadata key":  with(long, "value"),
		"a long type":          with("type", long),
		"a bad timestamp":      with("timestamp", "yesterday"),
		"a header over 128 KB": with("key", strings.Repeat("x", 140<<10)),
		"a header just over":   with("key", strings.Repeat("x", 128<<10)),
	} {
		errs := p.PublishEach(context.Background(), queue, []*message.Message{messages(1, 2)[0], msg, messages(2, 3)[0]})
		require.NoError(t, errs[0], name)
		require.Error(t, errs[1], name)
		require.NotErrorIs(t, errs[1], pipeline.ErrUnconfirmed, name)
		require.NoError(t, errs[2], name)
		require.NoError(t, conn.Err(), name)
	}
	require.Error(t, p.Publish(long, messages(0, 1)...), "a long routing key")
	require.NoError(t, conn.Err())
	big := with("key", strings.Repeat("x", 119<<10))
	require.NoError(t, p.Publish(queue, big), "a header that fits")
	require.NotContains(t, deliveredBodies(w.take(queue))[:15], "bad")
}

func TestADeletedExchangeIsPreparedAgain(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue, exchange := w.queue(nil), w.name()
	prepare := func(context.Context) error {
		return w.try(func(ch *amqp.Channel) error {
			if err := ch.ExchangeDeclare(exchange, "direct", true, false, false, false, nil); err != nil {
				return err
			}
			return ch.QueueBind(queue, "", exchange, false, nil)
		})
	}
	p := w.publisher(brokerURL(), func(c *pipeline.PublisherConfig) {
		c.Exchange, c.Prepare = exchange, prepare
		c.RoutingKey = func(string, *message.Message) string { return "" }
	})
	require.NoError(t, p.Publish("", messages(0, 10)...))
	w.on(func(ch *amqp.Channel) error { return ch.ExchangeDelete(exchange, false, false) })
	for _, err := range p.PublishEach(context.Background(), "", messages(10, 20)) {
		require.ErrorIs(t, err, pipeline.ErrUnconfirmed)
	}
	require.NoError(t, p.Publish("", messages(10, 20)...))
	require.Equal(t, numbers(0, 20), deliveredBodies(w.take(queue)))
}

func TestPublishingNothingDoesNothing(t *testing.T) {
	t.Parallel()
	require.NoError(t, newWire(t).publisher("amqp://guest:guest@127.0.0.1:1/").Publish("nowhere"))
}

func TestAPublisherChecksItsConfiguration(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	_, err := pipeline.NewPublisher(pipeline.PublisherConfig{MaxOutstanding: -1})
	for _, missing := range []string{"Connection", "Logger", "MaxOutstanding"} {
		require.ErrorContains(t, err, missing)
	}
	_, err = pipeline.NewConnection("not a url of rabbit:secret", "x", w.logger)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}
