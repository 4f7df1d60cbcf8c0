package pipeline_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
	"chat-messaging/queries/queriestest"
)

// input is one bad or unusual thing that may come in, as one or more deliveries,
// and what must become of each of them.
type input struct {
	name string
	// from is the sender if it must be a certain one.
	from  int64
	write func(d draft) []amqp.Publishing
	want  []string
	// outside makes the chat one of others.
	outside bool
	// direct goes past the exchange, key by another binding of it.
	direct bool
	key    string
}

// draft writes the deliveries of one input. Each has users and a chat of its own,
// so that what comes back can be told apart however little of it could be read.
type draft struct{ chat, sender, recipient int64 }

// gone as a value leaves a field out.
const gone = "\x00gone"

// with is a message that is right but for these fields, pairs of a name and its
// JSON value. A name that is not there, or has a +, adds a member.
func (d draft) with(pairs ...string) string {
	members := [][2]string{
		{"id", "null"},
		{"client_message_id", `"m-1"`},
		{"chat_id", strconv.Quote(strconv.FormatInt(d.chat, 10))},
		{"sender_id", strconv.FormatInt(d.sender, 10)},
		{"recipient_id", strconv.FormatInt(d.recipient, 10)},
		{"sent_at", `"2025-12-16T20:19:31.123456Z"`},
		{"body", `"hello"`},
		{"status", `"sent"`},
	}
pairs:
	for i := 0; i < len(pairs); i += 2 {
		for j := range members {
			if members[j][0] == pairs[i] {
				members[j][1] = pairs[i+1]
				continue pairs
			}
		}
		members = append(members, [2]string{strings.TrimPrefix(pairs[i], "+"), pairs[i+1]})
	}
	var text strings.Builder
	for _, m := range members {
		if m[1] == gone {
			continue
		}
		separator := ","
		if text.Len() == 0 {
			separator = "{"
		}
		text.WriteString(separator + `"` + m[0] + `":` + m[1])
	}
	return text.String() + "}"
}

// plain is a delivery as the gateway publishes it.
func plain(body string) amqp.Publishing {
	return amqp.Publishing{ContentType: "application/json", ContentEncoding: "utf-8", Body: []byte(body)}
}

// field is an input that is right but for these fields.
func field(name, want string, pairs ...string) input {
	return input{name: name, want: []string{want}, write: func(d draft) []amqp.Publishing {
		return []amqp.Publishing{plain(d.with(pairs...))}
	}}
}

// payload is an input made of a right message's text.
func payload(name, want string, write func(message string) string) input {
	return input{name: name, want: []string{want}, write: func(d draft) []amqp.Publishing {
		return []amqp.Publishing{plain(write(d.with()))}
	}}
}

// carried is a right message in an unusual delivery.
func carried(name string, write func(p *amqp.Publishing)) input {
	return input{name: name, want: []string{"delivered"}, write: func(d draft) []amqp.Publishing {
		p := plain(d.with())
		write(&p)
		return []amqp.Publishing{p}
	}}
}

// several is an input of several deliveries.
func several(name string, write func(d draft) []string, want ...string) input {
	return input{name: name, want: want, write: func(d draft) []amqp.Publishing {
		var list []amqp.Publishing
		for _, body := range write(d) {
			list = append(list, plain(body))
		}
		return list
	}}
}

// All that is known to go wrong with what comes in, in one queue, before one
// service: each delivery has exactly the outcome that is promised for it, and
// nothing else comes out.
func TestEveryInputHasTheOutcomeThatIsPromisedForIt(t *testing.T) {
	t.Parallel()
	inputs := everyInput(t)
	drafts := make([]draft, len(inputs))
	var users []string
	for i, in := range inputs {
		drafts[i] = draft{sender: 10_000 + 2*int64(i), recipient: 10_001 + 2*int64(i)}
		if in.from != 0 {
			drafts[i].sender = in.from
		}
		users = append(users, strconv.FormatInt(drafts[i].sender, 10), strconv.FormatInt(drafts[i].recipient, 10))
	}
	b := newBench(t, withQueueType(pipeline.QueueQuorum), withRouting(pipeline.RoutingUser))
	events := b.dispatcher(append(users, "1", "2")...)
	// Stored, and the acknowledgement lost in a crash: nobody hears of it again.
	b.storeAndForget(events, say(queriestest.Chat(t, b.db, 1, 2), 1, 2, "m-1", "hello"))
	want := map[string]int{"replayed/": 1}
	deliveries := 1
	for i, in := range inputs {
		one, other := drafts[i].sender, drafts[i].recipient
		if in.outside {
			one = other + 1_000_000
		}
		drafts[i].chat = queriestest.Chat(t, b.db, min(one, other), max(one, other))
		require.Len(t, in.want, len(in.write(drafts[i])), in.name)
		for _, outcome := range in.want {
			kind, code, _ := strings.Cut(outcome, " ")
			if kind == "delivered" {
				kind = "accepted"
			}
			want[kind+"/"+code]++
		}
		deliveries += len(in.want)
	}
	b.sendInputs(inputs, drafts)
	s := b.serve()
	s.awaitOutcomes(t, deliveries)
	require.Equal(t, want, outcomes(t, s.registry))

	came := readOutcomes(t, b, events, want)
	s.stopAll()
	for i, in := range inputs {
		t.Run(in.name, func(t *testing.T) { requireOutcomes(t, in, drafts[i], came) })
	}
	require.Empty(t, events, "more was dispatched than promised")
	require.Zero(t, b.depth(b.topology.DatabaseQueue), "the broker got something back")
	require.Zero(t, b.depth(b.topology.PoisonQueue), "more was poisoned than promised")
	require.Equal(t, want["accepted/"]+want["replayed/"], b.count("messages"))
	require.Zero(t, b.count("outbox"))
}

// sendInputs publishes the deliveries of all inputs in order, each marked with the
// name of its input, which the poison queue keeps.
func (b *bench) sendInputs(inputs []input, drafts []draft) {
	b.t.Helper()
	b.declare()
	b.onChannel(func(ch *amqp.Channel) {
		require.NoError(b.t, ch.Confirm(false))
		var confirms []*amqp.DeferredConfirmation
		for i, in := range inputs {
			exchange, key := b.topology.DatabaseExchange, in.key
			if key != "" {
				require.NoError(b.t, ch.QueueBind(b.topology.DatabaseQueue, key, exchange, false, nil))
			}
			if in.direct {
				exchange, key = "", b.topology.DatabaseQueue
			}
			for _, p := range in.write(drafts[i]) {
				p.CorrelationId = in.name
				confirm, err := ch.PublishWithDeferredConfirm(exchange, key, true, false, p)
				require.NoError(b.t, err, in.name)
				confirms = append(confirms, confirm)
			}
		}
		for _, confirm := range confirms {
			require.True(b.t, confirm.Wait())
		}
	})
}

// came is all that came out.
type came struct {
	events   map[int64][]event          // by sender
	poisoned map[string][]amqp.Delivery // by the name of the input
}

func readOutcomes(t *testing.T, b *bench, events <-chan event, want map[string]int) came {
	t.Helper()
	poisoned, answered := 0, 0
	for outcome, n := range want {
		switch kind, _, _ := strings.Cut(outcome, "/"); kind {
		case "poisoned":
			poisoned += n
		case "replayed":
		default:
			answered += n
		}
	}
	c := came{events: map[int64][]event{}, poisoned: map[string][]amqp.Delivery{}}
	for _, e := range next(t, events, answered) {
		c.events[e.SenderID] = append(c.events[e.SenderID], e)
	}
	for _, d := range b.poisoned(poisoned) {
		c.poisoned[d.CorrelationId] = append(c.poisoned[d.CorrelationId], d)
	}
	return c
}

// requireOutcomes holds what came of an input against what was promised.
func requireOutcomes(t *testing.T, in input, d draft, c came) {
	t.Helper()
	events, parked := c.events[d.sender], c.poisoned[in.name]
	seq, first := int64(0), ""
	for i, p := range in.write(d) {
		kind, code, _ := strings.Cut(in.want[i], " ")
		if kind == "poisoned" {
			require.NotEmpty(t, parked, in.want[i])
			require.Equal(t, code, parked[0].Headers[pipeline.HeaderPoisonCode])
			require.Equal(t, string(p.Body), string(parked[0].Body), "the copy is exact to the byte")
			require.Equal(t, p.MessageId == "", strings.Count(parked[0].MessageId, "-") == 4, "it has an id")
			parked = parked[1:]
			continue
		}
		require.NotEmpty(t, events, in.want[i])
		e := events[0]
		events = events[1:]
		require.Equal(t, d.sender, e.SenderID)
		if kind == "rejected" {
			require.Equal(t, "rejected", e.Status)
			require.NotNil(t, e.RejectCode)
			require.Equal(t, code, *e.RejectCode)
			require.NotEmpty(t, e.RejectReason)
			require.Nil(t, e.ID)
			require.Nil(t, e.Seq)
			require.Equal(t, strconv.FormatInt(d.sender, 10), e.properties.RoutingKey, "a rejection is for its sender only")
		} else {
			require.Equal(t, "delivered", e.Status, "%v", e.RejectCode)
			require.Nil(t, e.RejectCode)
			require.Equal(t, d.recipient, e.RecipientID)
			if kind == "delivered" {
				seq++
			} else {
				require.Equal(t, first, e.MessageID, "a repeat is answered with the event that there is")
			}
			require.NotNil(t, e.Seq)
			require.Equal(t, seq, *e.Seq)
			require.Equal(t, fmt.Sprint(d.chat, "-", seq), *e.ID)
			if first == "" {
				first = e.MessageID
			}
		}
		requireEcho(t, string(p.Body), e)
	}
	require.Empty(t, events, "more events than promised")
	require.Empty(t, parked, "more copies than promised")
}

// requireEcho holds the sender's own fields in an event against the payload, with
// encoding/json as the second opinion: each comes back to the letter, or is null
// because it is no text that could.
func requireEcho(t *testing.T, sent string, e event) {
	t.Helper()
	var fields, echo map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(sent, "\uFEFF")), &fields))
	require.NoError(t, json.Unmarshal([]byte(e.raw), &echo))
	for _, name := range []string{"client_message_id", "chat_id", "sent_at", "body"} {
		var want, got *string
		once := strings.Count(sent, `"`+name+`":`) == 1
		if value := string(fields[name]); once && json.Unmarshal(fields[name], &want) == nil && want != nil {
			lost := strings.Contains(*want, "\x00") || strings.Count(*want, "\uFFFD") != strings.Count(value, "\uFFFD")
			if lost {
				want = nil
			}
		} else {
			want = nil
		}
		require.NoError(t, json.Unmarshal(echo[name], &got), name)
		require.Equal(t, want, got, name)
	}
	require.True(t, utf8.ValidString(e.raw))
}
