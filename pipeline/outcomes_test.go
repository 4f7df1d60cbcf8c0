package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/handlers"
	"chat-messaging/pipeline"
	"chat-messaging/queries/queriestest"
)

// kind is a delivery and the one outcome that it must have.
type kind struct {
	name, body, outcome, code string
	encoding                  string // content encoding, utf-8 if empty
}

// everyKind has at least one delivery for each outcome and code that needs no
// fault of ours. Those that answer to an earlier one stand behind it.
func everyKind(chat int64) []kind {
	// edited is a message that is right but for one thing.
	edited := func(id, old, changed string) string {
		text := say(chat, 1, 2, id, "hello")
		if !strings.Contains(text, old) {
			panic("no " + old + " in " + text)
		}
		return strings.Replace(text, old, changed, 1)
	}
	const rejected, poisoned = "rejected", "poisoned"
	return []kind{
		{"a message", say(chat, 1, 2, "a", "hello"), "accepted", "", ""},
		{"an answer", say(chat, 2, 1, "b", "hi"), "accepted", "", ""},
		{"the same id by another sender", say(chat, 2, 1, "a", "hello"), "accepted", "", ""},
		{"numbers as text", edited("c", `"sender_id":1`, `"sender_id":"1"`), "accepted", "", ""},
		{"the first again", say(chat, 1, 2, "a", "hello"), "repeated", "", ""},
		{"the first once more", say(chat, 1, 2, "a", "hello"), "repeated", "", ""},
		{"the first with another text", say(chat, 1, 2, "a", "other"), rejected, "duplicated", ""},
		{"a chat that does not exist", say(chat+1, 1, 2, "d", "hello"), rejected, "unknown_chat", ""},
		{"a stranger to the chat", say(chat, 3, 2, "e", "hello"), rejected, "not_related", ""},
		{"to oneself", say(chat, 1, 1, "f", "hello"), rejected, "not_related", ""},
		{"no id", say(chat, 1, 2, "", "hello"), rejected, "invalid_message", ""},
		{"a NUL in the text", say(chat, 1, 2, "g", "a\x00b"), rejected, "invalid_body", ""},
		{"half a surrogate pair", edited("h", "hello", `\ud800`), rejected, "invalid_body", ""},
		{"no text", say(chat, 1, 2, "i", " "), rejected, "invalid_body", ""},
		{"a text that is too long", say(chat, 1, 2, "j", strings.Repeat("x", 16<<10+1)), rejected, "body_too_long", ""},
		{"no date", edited("k", "2025-12-16", "2025-02-30"), rejected, "invalid_sent_at", ""},
		{"two texts", edited("l", `"body":`, `"body":"x","body":`), rejected, "duplicate_key", ""},
		{"nothing", "", poisoned, "empty", ""},
		{"no JSON", "hello", poisoned, "malformed_json", ""},
		{"two objects", "{}{}", poisoned, "malformed_json", ""},
		{"a list", "[1]", poisoned, "not_an_object", ""},
		{"no UTF-8", "{\"body\":\"\xff\"}", poisoned, "encoding", ""},
		{"compressed", say(chat, 1, 2, "m", "hello"), poisoned, "encoding", "gzip"},
		{"too deep", strings.Repeat("[", 33) + strings.Repeat("]", 33), poisoned, "too_deep", ""},
		{"too large", say(chat, 1, 2, "n", strings.Repeat("x", 256<<10)), poisoned, "too_large", ""},
		{"two senders", edited("o", `"sender_id":1`, `"sender_id":1,"sender_id":2`), poisoned, "duplicate_key", ""},
		{"no sender", edited("p", `"sender_id":1,`, ""), poisoned, "no_sender", ""},
		{"a sender that cannot be", edited("q", `"sender_id":1`, `"sender_id":1.5`), poisoned, "bad_sender", ""},
		{"an event that came back", edited("r", `"status":"sent"`, `"status":"delivered"`), poisoned, "loop", ""},
	}
}

// Each consumed delivery has exactly one outcome, and the counters, the rows, the
// events and the poison queue tell the same story of it.
func TestEveryDeliveryHasExactlyOneOutcome(t *testing.T) {
	t.Parallel()
	for _, queueType := range []string{pipeline.QueueClassic, pipeline.QueueQuorum} {
		t.Run(queueType, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, withQueueType(queueType))
			chat := queriestest.Chat(t, b.db, 1, 2)
			events := b.dispatcher()
			before := say(chat, 1, 2, "before", "stored, and its ack lost")
			b.storeAndForget(events, before)

			// All of it waits in the queue, so that it comes in one batch.
			kinds := everyKind(chat)
			want := map[string]int{"replayed/": 1}
			for _, k := range kinds {
				b.sendPublishings(amqp.Publishing{
					ContentEncoding: k.encoding, DeliveryMode: amqp.Persistent, Body: []byte(k.body),
				})
				want[k.outcome+"/"+k.code]++
			}
			s := b.serve()
			s.awaitOutcomes(t, len(kinds)+1)
			require.Equal(t, want, outcomes(t, s.registry))
			requireAgreement(t, s, events, kinds, 1)
		})
	}
}

// storeAndForget leaves a message in the queue that is stored already, as it is
// after a crash between the commit and the acknowledgement.
func (b *bench) storeAndForget(events <-chan event, body string) {
	b.t.Helper()
	s := b.serve()
	b.send(body)
	next(b.t, events, 1)
	s.stopAll()
	b.send(body)
	b.onChannel(func(ch *amqp.Channel) { // its end gives the message back
		deliveries, err := ch.Consume(b.topology.DatabaseQueue, "", false, false, false, false, nil)
		require.NoError(b.t, err)
		_, ok := <-deliveries
		require.True(b.t, ok)
	})
}

// requireAgreement stops the service and holds everything that it left against
// the kinds that were sent; stored is how many rows there were before.
func requireAgreement(t *testing.T, s *service, events <-chan event, kinds []kind, stored int) {
	t.Helper()
	wantEvents, wantPoison := map[string]int{}, map[string]int{}
	for _, k := range kinds {
		switch k.outcome {
		case "accepted", "repeated":
			wantEvents["delivered/"]++
		case "rejected":
			wantEvents["rejected/"+k.code]++
		case "poisoned":
			wantPoison[k.code]++
		}
		if k.outcome == "accepted" {
			stored++
		}
	}
	gotEvents := map[string]int{}
	ids := map[string]string{}     // event by id
	stories := map[string]string{} // id by message
	for _, e := range next(t, events, sum(wantEvents)) {
		code := ""
		if e.RejectCode != nil {
			code = *e.RejectCode
		}
		gotEvents[e.Status+"/"+code]++
		if other, again := ids[e.MessageID]; again {
			require.Equal(t, other, e.raw, "one id, two events")
		}
		ids[e.MessageID] = e.raw
		if e.Status == "delivered" {
			key := fmt.Sprint(e.SenderID, " ", *e.ClientMessageID)
			if other, again := stories[key]; again {
				require.Equal(t, other, e.MessageID, "one message, two event ids")
			}
			stories[key] = e.MessageID
		}
	}
	require.Equal(t, wantEvents, gotEvents)

	gotPoison := map[string]int{}
	for _, d := range s.b.poisoned(sum(wantPoison)) {
		gotPoison[fmt.Sprint(d.Headers[pipeline.HeaderPoisonCode])]++
	}
	require.Equal(t, wantPoison, gotPoison)

	s.stopAll()
	require.Zero(t, s.b.depth(s.b.topology.DatabaseQueue), "the broker got something back")
	require.Zero(t, s.b.depth(s.b.topology.PoisonQueue), "more was poisoned than counted")
	require.Empty(t, events, "more was dispatched than counted")
	require.Equal(t, stored, s.b.count("messages"))
	require.Zero(t, s.b.count("outbox"))
	require.Equal(t, sum(wantEvents), counter(t, s.registry, "chat_messaging_events_total")["confirmed"])
}

// A handler that panics on one message costs that message only, and the batch
// that is split to find it is not counted twice.
func TestTheOutcomesOfASplitBatchCountOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	chat := queriestest.Chat(t, b.db, 1, 2)
	events := b.dispatcher()
	var kinds []kind
	for i := range 200 {
		k := kind{body: say(chat, 1, 2, fmt.Sprint("m", i), "hello"), outcome: "accepted"}
		switch i % 50 {
		case 7:
			k = kind{body: say(chat, 1, 2, fmt.Sprint("m", i), "boom"), outcome: "poisoned", code: "panic"}
		case 23:
			k = kind{body: say(chat, 3, 2, fmt.Sprint("m", i), "hello"), outcome: "rejected", code: "not_related"}
		}
		kinds = append(kinds, k)
		b.send(k.body)
	}
	s := b.serve(func(c *pipeline.Config) {
		c.BeforePersist = append(c.BeforePersist, handlers.Each(func(_ context.Context, _ *handlers.Batch, i *handlers.Item) error {
			if i.Message.Body == "boom" {
				panic("a handler with a fault")
			}
			return nil
		}))
	})
	s.awaitOutcomes(t, len(kinds))
	require.Equal(t, map[string]int{"accepted/": 192, "poisoned/panic": 4, "rejected/not_related": 4}, outcomes(t, s.registry))
	requireAgreement(t, s, events, kinds, 0)
}

// One bad message among many is answered or parked, and the others do not notice.
func TestTwoBadMessagesInAThousand(t *testing.T) {
	t.Parallel()
	for _, queueType := range []string{pipeline.QueueClassic, pipeline.QueueQuorum} {
		t.Run(queueType, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, withQueueType(queueType))
			chat := queriestest.Chat(t, b.db, 1, 2)
			events := b.dispatcher()
			bodies := make([]string, 1000)
			for i := range bodies {
				bodies[i] = say(chat, 1, 2, fmt.Sprint("m", i), "hello")
			}
			bodies[333] = say(chat, 1, 2, "m333", "a\x00b")
			bodies[666] = "this is no JSON"
			b.send(bodies...)
			s := b.serve()

			wanted := 0
			for _, e := range next(t, events, 999) {
				if wanted == 666 {
					wanted++
				}
				require.Equal(t, fmt.Sprint("m", wanted), *e.ClientMessageID, "the events are in the order of the messages")
				if wanted == 333 {
					require.Equal(t, "rejected", e.Status)
					require.Equal(t, "invalid_body", *e.RejectCode)
					require.EqualValues(t, 1, e.SenderID)
				} else {
					require.Equal(t, "delivered", e.Status)
				}
				wanted++
			}
			parked := b.poisoned(1)[0]
			require.Equal(t, bodies[666], string(parked.Body))
			require.Equal(t, "malformed_json", parked.Headers[pipeline.HeaderPoisonCode])
			s.awaitOutcomes(t, 1000)
			require.Equal(t, map[string]int{"accepted/": 998, "rejected/invalid_body": 1, "poisoned/malformed_json": 1},
				outcomes(t, s.registry))
			s.stopAll()
			require.Zero(t, b.depth(b.topology.DatabaseQueue))
			require.Equal(t, 998, b.count("messages"))
			require.Zero(t, b.count("outbox"))
			require.Equal(t, 998, b.count("messages WHERE seq <= 998"), "the positions have no gaps")
		})
	}
}
