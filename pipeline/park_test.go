package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/handlers"
	"chat-messaging/pipeline"
	"chat-messaging/queries/queriestest"
)

const parkFailures = "chat_messaging_park_failures_total"

// parkedAgain waits until some tries to park have failed.
func (s *service) parkedAgain(t testing.TB) {
	t.Helper()
	until(t, "parking has failed", func() bool { return sum(counter(t, s.registry, parkFailures)) > 1 })
}

func TestADeletedPoisonQueueIsMadeAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.serve()
	b.send("not JSON")
	require.Equal(t, "not JSON", string(b.poisoned(1)[0].Body))
	b.remove(b.topology.PoisonQueue)
	b.send("again not JSON")
	until(t, "the queue is back", func() bool { return b.try(b.topology.PoisonQueue) })
	require.Equal(t, "again not JSON", string(b.poisoned(1)[0].Body))
}

// try tells whether a queue exists.
func (b *bench) try(queue string) (exists bool) {
	b.onChannel(func(ch *amqp.Channel) {
		_, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		exists = err == nil
	})
	return exists
}

// A message whose copy is nowhere safe stays with the broker, whatever happens
// to us, and those behind it go on.
func TestPoisonStaysUnacknowledgedWhileItCannotBeParked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ breakIt, mend func(*bench) }{
		"because the queue is gone": {
			breakIt: func(b *bench) { b.remove(b.topology.PoisonQueue) },
			mend:    func(b *bench) { b.makePoison(nil) },
		},
		"because the queue is full": {
			breakIt: func(b *bench) {
				b.remove(b.topology.PoisonQueue)
				b.makePoison(amqp.Table{"x-max-length": int32(0), "x-overflow": "reject-publish"})
			},
			mend: func(b *bench) {
				b.remove(b.topology.PoisonQueue)
				b.makePoison(nil)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			chat := queriestest.Chat(t, b.db, 1, 2)
			events := b.dispatcher()
			b.declare()
			b.topology.Declare = false
			s := b.serve()
			b.send(say(chat, 1, 2, "before", "hello"))
			next(t, events, 1)
			c.breakIt(b)
			b.publish("not JSON", say(chat, 1, 2, "behind", "hello again"))
			require.Equal(t, "behind", *next(t, events, 1)[0].ClientMessageID, "one poisoned message stops the others")
			s.parkedAgain(t)
			require.Zero(t, b.depth(b.topology.DatabaseQueue))
			c.mend(b)
			require.Equal(t, "not JSON", string(b.poisoned(1)[0].Body))
			s.stopAll()
			require.Zero(t, b.depth(b.topology.DatabaseQueue), "it is acknowledged once its copy is safe")
		})
	}
}

func (b *bench) makePoison(args amqp.Table) {
	b.t.Helper()
	b.onChannel(func(ch *amqp.Channel) {
		_, err := ch.QueueDeclare(b.topology.PoisonQueue, true, false, false, false, args)
		require.NoError(b.t, err)
	})
}

// publish is send for a topology that is not whole.
func (b *bench) publish(payloads ...string) {
	b.t.Helper()
	b.onChannel(func(ch *amqp.Channel) {
		for _, body := range payloads {
			require.NoError(b.t, ch.Publish("", b.topology.DatabaseQueue, true, false, amqp.Publishing{Body: []byte(body)}))
		}
	})
}

func TestAShutdownGivesBackWhatCannotBeParked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.declare()
	b.topology.Declare = false
	s := b.serve(func(c *pipeline.Config) { c.Grace = 300 * time.Millisecond })
	until(t, "it consumes", func() bool { return s.pipeline.State() == pipeline.Consuming })
	b.remove(b.topology.PoisonQueue)
	b.publish("not JSON")
	s.parkedAgain(t)
	within(t, 10*time.Second, s.stopAll)
	require.Equal(t, 1, b.depth(b.topology.DatabaseQueue))
}

func TestACopyWhoseConfirmIsLostIsMadeAgainWithTheSameId(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]string{"the message's own": "its id", "made of its content": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			l := newLink(t, b.broker)
			publish, err := pipeline.NewConnection(l.url, "test publish", b.logger)
			require.NoError(t, err)
			t.Cleanup(func() { _ = publish.Close() })
			b.serve(func(c *pipeline.Config) { c.Publish = publish })
			b.send("not JSON")
			b.poisoned(1)
			l.swallow("downstream")
			b.sendPublishings(amqp.Publishing{MessageId: id, Body: []byte("not JSON either")})
			until(t, "a copy is there", func() bool { return b.depth(b.topology.PoisonQueue) == 1 })
			l.cut()
			l.heal()
			l.restore()
			copies := b.poisoned(2)
			require.NotEmpty(t, copies[0].MessageId)
			require.Equal(t, copies[0].MessageId, copies[1].MessageId)
			if id != "" {
				require.Equal(t, id, copies[0].MessageId)
			}
			require.Equal(t, copies[0].Body, copies[1].Body)
		})
	}
}

func TestTheReasonIsCutToAHeader(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	chat := queriestest.Chat(t, b.db, 1, 2)
	details := map[string]string{
		"long": strings.Repeat("ü", 200_000), "bytes": "\xff\xfe", "short": "exactly this",
	}
	b.serve(func(c *pipeline.Config) {
		c.BeforePersist = append(c.BeforePersist, handlers.Each(func(_ context.Context, _ *handlers.Batch, i *handlers.Item) error {
			i.Fail("here", "unwanted", details[i.Message.Body])
			return nil
		}))
	})
	b.send(say(chat, 1, 2, "1", "long"), say(chat, 1, 2, "2", "bytes"), say(chat, 1, 2, "3", "short"))
	reasons := map[string]string{}
	for _, d := range b.poisoned(3) {
		require.Equal(t, "here", d.Headers[pipeline.HeaderPoisonStage])
		require.Equal(t, "unwanted", d.Headers[pipeline.HeaderPoisonCode])
		reason := fmt.Sprint(d.Headers[pipeline.HeaderPoisonReason])
		require.True(t, utf8.ValidString(reason))
		reasons[strings.TrimRight(reason, "ü…")] = reason
	}
	require.Contains(t, reasons, "exactly this")
	require.Contains(t, reasons, "\uFFFD")
	require.Equal(t, 512, utf8.RuneCountInString(reasons[""]))
}

func TestOneGiantHeaderIsLeftOutAndCounted(t *testing.T) {
	t.Parallel()
	for name, giant := range map[string]any{
		"a text":  strings.Repeat("x", 120_000),
		"bytes":   make([]byte, 120_000),
		"a table": amqp.Table{"a": amqp.Table{"b": []any{strings.Repeat("x", 60_000), strings.Repeat("y", 60_000)}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			key := strings.Repeat("k", 255)
			b.sendPublishings(amqp.Publishing{
				Headers:     amqp.Table{"giant": giant, "small": int32(1), key: "long name"},
				ContentType: strings.Repeat("c", 255), CorrelationId: strings.Repeat("i", 255), ReplyTo: strings.Repeat("r", 255),
				MessageId: strings.Repeat("m", 255), Type: strings.Repeat("t", 255), AppId: strings.Repeat("a", 255),
				Body: []byte("not JSON"),
			})
			b.serve()
			got := b.poisoned(1)[0]
			require.EqualValues(t, 1, got.Headers[pipeline.HeaderPoisonDropped])
			require.EqualValues(t, 1, got.Headers["small"])
			require.Equal(t, "long name", got.Headers[key])
			require.NotContains(t, got.Headers, "giant")
			require.Equal(t, strings.Repeat("m", 255), got.MessageId)
		})
	}
}
