package handlers_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"chat-messaging/handlers"
	"chat-messaging/queries"
)

var update = flag.Bool("update", false, "write the golden files anew")

var decidedAt = time.Date(2025, 12, 16, 20, 19, 31, 120000789, time.FixedZone("", 3600))

func delivered() handlers.MessageDelivered {
	return handlers.NewDelivered(&queries.Message{
		ChatID: 6917529027641081856, Seq: 12, SenderID: 1<<53 + 1, RecipientID: 90001, DeliveredAt: decidedAt,
		ClientMessageID: "0b9c7a0e-6f0e-4d59-9a44-6f1b2f0f6f3e", SentAt: "2025-12-16T20:19:31.123456Z",
		Body: "Tea at 5?\n\"Café\" \\ <b>😀</b> \u2028 \u202Etac",
	})
}

func rejected(payload string) handlers.MessageRejected {
	m, rejection, failure := handlers.NewDecoder(handlers.Limits{}).Decode([]byte(payload), "")
	if failure != nil {
		panic(failure)
	}
	if rejection == nil {
		rejection = &handlers.RejectDuplicated
	}
	return handlers.NewRejected(m, []byte(payload), *rejection, decidedAt)
}

func TestEventsOnTheWire(t *testing.T) {
	t.Parallel()
	for name, event := range map[string]any{
		"delivered":           delivered(),
		"rejected":            rejected(typical),
		"rejected_unreadable": rejected(`{"sender_id":"1","body":"\ud800","chat_id":77,"recipient_id":2.5}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			msg, err := handlers.EventMarshaler{}.Marshal(event)
			require.NoError(t, err)
			requireDispatchable(t, msg.Payload)
			assertGolden(t, filepath.Join("testdata", name+".golden"), inFull(msg))
		})
	}
}

// inFull is a message as text: what goes into properties, then the payload.
func inFull(msg *message.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "uuid: %s\n", msg.UUID)
	for _, key := range slices.Sorted(maps.Keys(msg.Metadata)) {
		fmt.Fprintf(&b, "%s: %s\n", key, msg.Metadata[key])
	}
	fmt.Fprintf(&b, "\n%s\n", msg.Payload)
	return b.String()
}

func assertGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "if the change is meant: go test -run %s -update", t.Name())
}

func TestEventIDs(t *testing.T) {
	t.Parallel()
	key := func(sender int64, clientMessageID string) string {
		d := handlers.NewDelivered(&queries.Message{SenderID: sender, ClientMessageID: clientMessageID})
		return d.EventID()
	}
	reject := func(payload string, r handlers.Rejection, at time.Time) string {
		m, _, _ := handlers.NewDecoder(handlers.Limits{}).Decode([]byte(payload), "")
		e := handlers.NewRejected(m, []byte(payload), r, at)
		return e.EventID()
	}
	later := decidedAt.Add(time.Hour)

	assert.Equal(t, "Ux47wpzKNXcvqVQE5Ew", key(1, "m-1"), "ids must stay as they are for ever")
	assert.Regexp(t, `^[A-Za-z0-9_-]{19}$`, key(1, "m-1"))

	moved := delivered()
	moved.Seq, moved.DeliveredAt, moved.Body = 99, later, "edited"
	original := delivered()
	assert.Equal(t, original.EventID(), moved.EventID(), "the id is that of the key")
	assert.Equal(t,
		reject(with("body", "7"), handlers.RejectInvalidBody, decidedAt),
		reject(with("body", "7"), handlers.RejectInvalidBody, later),
		"a replayed rejection has its old id")

	all := []string{
		key(1, "m-1"),
		key(1, "m-2"),
		key(2, "m-1"),
		key(11, "m-1"),
		key(1, "1m-1"),
		reject(with(), handlers.RejectDuplicated, decidedAt),
		reject(with(), handlers.RejectUnknownChat, decidedAt),
		reject(with("body", `"other"`), handlers.RejectDuplicated, decidedAt),
		reject(with("sender_id", "3"), handlers.RejectDuplicated, decidedAt),
		reject(with("client_message_id", "1"), handlers.RejectInvalidMessage, decidedAt),
		reject(with("client_message_id", "2"), handlers.RejectInvalidMessage, decidedAt),
	}
	assert.Len(t, slices.Compact(slices.Sorted(slices.Values(all))), len(all), "each is another event")
}

func TestEventsCarryTheTimeInMicrosecondsOfUTC(t *testing.T) {
	t.Parallel()
	want := time.Date(2025, 12, 16, 19, 19, 31, 120000000, time.UTC)
	assert.Equal(t, want, delivered().DeliveredAt)
	assert.Equal(t, want, rejected(typical).DecidedAt)

	for _, nanoseconds := range []int{0, 1, 999, 1000, 1001, 120_000_000, 123_456_000, 123_456_999, 999_999_000, 999_999_999} {
		for _, year := range []int{1, 1969, 1970, 2025, 9999} {
			at := time.Date(year, 1, 31, 1, 2, 3, nanoseconds, time.UTC).In(time.FixedZone("", -7*3600))
			msg := marshaled(t, handlers.MessageDelivered{DeliveredAt: at})
			text := at.UTC().Format("2006-01-02T15:04:05.000000Z")
			assert.Contains(t, string(msg.Payload), `"delivered_at":"`+text+`"`)
			assert.Equal(t, text, msg.Metadata[handlers.MetadataTimestamp])
		}
	}
}

// Whatever a client makes of a message, the gateway can dispatch our answer.
func TestEveryAnswerIsDispatchable(t *testing.T) {
	t.Parallel()
	values := rapid.SampledFrom([]string{
		missing, "null", "true", "0", "-1", "7", "7.0", "1e3", "1e400", "9007199254740993", `""`, `"7"`, `"77"`, `"a"`,
		`"\u0000"`, `"\ud800"`, `"\ud83d\ude00"`, `"\"\\"`, `"2025-12-16T20:19:31Z"`, "[]", `{"a":[1]}`, "\"\u2028\u007f\"",
	})
	decoder := handlers.NewDecoder(handlers.Limits{})
	rapid.Check(t, func(rt *rapid.T) {
		pairs := []string{"sender_id", "5"}
		for _, field := range []string{"client_message_id", "chat_id", "recipient_id", "sent_at", "body", "+body", "id", "seq"} {
			if rapid.Bool().Draw(rt, "replace "+field) {
				pairs = append(pairs, field, values.Draw(rt, field))
			}
		}
		payload := []byte(with(pairs...))
		m, rejection, failure := decoder.Decode(payload, "")
		if failure != nil {
			rt.Fatalf("a sender who can be named gets no answer: %v", failure)
		}
		if rejection == nil {
			event := handlers.NewDelivered(stored(t, m))
			requireRoundTrip(t, &event, &handlers.MessageDelivered{})
			return
		}
		event := handlers.NewRejected(m, payload, *rejection, decidedAt)
		requireRoundTrip(t, &event, &handlers.MessageRejected{})
	})
}

func TestEventKeys(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"AAAAAAAAAAAAAAAAAAA", "Ux47wpzKNXcvqVQE5Ew", "_____________-____8",
		"531e3bc2-9cca-5577-afa9-5404e44c5c12", // of an event that is in the outbox since ids were UUIDs
	} {
		key, err := handlers.EventKey(id)
		require.NoError(t, err, id)
		require.Equal(t, id, handlers.EventIDOf(key))
	}
	for _, id := range []string{
		"", "AAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAA+", "AAAAAAAAAAAAAAAAAAAA",
		"531e3bc2-9cca-5577-afa9-5404e44c5c1", strings.Repeat("x", 1000),
	} {
		_, err := handlers.EventKey(id)
		require.Error(t, err, "%.50q", id)
		require.Less(t, len(err.Error()), 150)
	}
}
