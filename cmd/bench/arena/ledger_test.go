package arena_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/bench/arena"
)

// mixed is a workload with some of each outcome.
var mixed = arena.Workload{Count: 400, Chats: 5, BodyBytes: 20, Seed: 3, Rejected: .1, Repeated: .1, Poisoned: .1}

// of returns the first message with that outcome. A repeated one comes with its
// first.
func of(t *testing.T, outcome arena.Outcome) arena.Message {
	t.Helper()
	for m := range mixed.Messages() {
		if m.Outcome == outcome {
			return m
		}
	}
	require.FailNow(t, "the workload has none")
	return arena.Message{}
}

// delivered is the event of an accepted or repeated message.
func delivered(key uuid.UUID, chat string, seq int) amqp.Delivery {
	return amqp.Delivery{MessageId: "event of " + key.String(), Body: fmt.Appendf(nil,
		`{"client_message_id":%q,"chat_id":%q,"seq":%d,"reject_reason":null,"reject_code":null}`, key, chat, seq)}
}

func rejected(key uuid.UUID, code string) amqp.Delivery {
	return amqp.Delivery{Body: fmt.Appendf(nil,
		`{"client_message_id":%q,"chat_id":"1","seq":null,"reject_reason":"Because.","reject_code":%q}`, key, code)}
}

func TestLedgerOfAllOutcomes(t *testing.T) {
	t.Parallel()
	l := arena.NewLedger(mixed, true)
	seq, events, parked, accepted := 0, 0, 0, 0
	for m := range mixed.Messages() {
		require.Error(t, l.Missing())
		switch m.Outcome {
		case arena.Poisoned:
			require.NoError(t, l.Parked(amqp.Delivery{Body: m.Payload}))
			parked++
			continue
		case arena.Rejected:
			key, err := l.Event(rejected(m.Key, m.Code))
			require.NoError(t, err)
			require.Equal(t, m.Key, key)
		case arena.Accepted:
			seq++
			accepted++
			_, err := l.Event(delivered(m.Key, "7", seq))
			require.NoError(t, err)
		case arena.Repeated:
			_, err := l.Event(delivered(m.Key, "7", 1))
			require.NoError(t, err)
		}
		events++
	}
	require.NoError(t, l.Missing())
	require.Equal(t, events, l.Events())
	require.Equal(t, parked, l.Poisoned())
	require.Equal(t, accepted, l.Accepted())
	require.Less(t, accepted, events)
}

func TestLedgerFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	fine, refused, bad := of(t, arena.Accepted), of(t, arena.Rejected), of(t, arena.Poisoned)
	again := of(t, arena.Repeated)
	for _, tc := range []struct {
		name   string
		before []amqp.Delivery // are right
		event  amqp.Delivery
		want   string
	}{
		{"an event of nothing", nil, delivered(uuid.New(), "7", 1), "not expected"},
		{"an event that is no JSON", nil, amqp.Delivery{Body: []byte("{")}, "reading an event"},
		{"an event of a poisoned message", nil, rejected(bad.Key, "invalid_body"), "not expected"},
		{"an event too many", []amqp.Delivery{delivered(fine.Key, "7", 1)}, delivered(fine.Key, "7", 1), "not again"},
		{"an accepted message that is rejected", nil, rejected(fine.Key, "not_related"), "was rejected: Because."},
		{"a rejected message that is accepted", nil, delivered(refused.Key, "7", 1), "must be rejected as " + refused.Code},
		{"a rejection for another reason", nil, rejected(refused.Key, "else"), "must be rejected as " + refused.Code},
		{
			"a repeat with an event of its own",
			[]amqp.Delivery{delivered(again.Key, "7", 1)},
			func() amqp.Delivery { d := delivered(again.Key, "7", 1); d.MessageId = "another"; return d }(), "and another",
		},
		{"a position left out", []amqp.Delivery{delivered(fine.Key, "7", 1)}, delivered(again.Key, "7", 3), "position 3"},
		{"an event out of order", []amqp.Delivery{delivered(fine.Key, "7", 2)}, delivered(again.Key, "7", 1), "position 1"},
		{"an event without a position", nil, delivered(fine.Key, "7", 0), "position 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := arena.NewLedger(mixed, true)
			for _, d := range tc.before {
				_, err := l.Event(d)
				require.NoError(t, err)
			}
			_, err := l.Event(tc.event)
			require.ErrorContains(t, err, tc.want)
		})
	}
	t.Run("but no order where none is asked for", func(t *testing.T) {
		t.Parallel()
		_, err := arena.NewLedger(mixed, false).Event(delivered(fine.Key, "7", 0))
		require.NoError(t, err)
	})
	t.Run("a parked message that is none", func(t *testing.T) {
		t.Parallel()
		l := arena.NewLedger(mixed, true)
		for _, payload := range [][]byte{fine.Payload, []byte("no key"), []byte(`"client_message_id":"short`)} {
			require.ErrorContains(t, l.Parked(amqp.Delivery{Body: payload}), "not one that belongs there")
		}
		require.NoError(t, l.Parked(amqp.Delivery{Body: bad.Payload}))
		require.Error(t, l.Parked(amqp.Delivery{Body: bad.Payload}), "once")
		require.ErrorContains(t, l.Missing(), "1 of ")
	})
}
