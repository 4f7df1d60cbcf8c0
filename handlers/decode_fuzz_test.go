package handlers_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"chat-messaging/handlers"
	"chat-messaging/queries"
)

// FuzzDecode holds every input against what must be true of all of them, with
// encoding/json as the second opinion on what an accepted message says.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		typical,
		"\uFEFF" + typical,
		with("body", `"\ud83d\ude00 \u00e9 \"\\\/\b\f\n\r\t"`),
		with("body", `"\ud800"`, "client_message_id", `"\u0000"`),
		with("sender_id", "7.0", "recipient_id", `"8"`),
		with("sender_id", "70e-1", "recipient_id", "0.08E+2"),
		with("sender_id", "1e999999999"),
		with("+sender_id", "2"),
		with("+body", "{}"),
		with(`s\u0065nder_id`, "2", "SENDER_ID", "3"),
		with("x", nested(31)),
		with("x", nested(32)),
		with("status", `"delivered"`),
		with("sent_at", `"2024-02-29T23:59:59.999999999Z"`),
		"", "null", "[]", "{}", "{", "\xff\xfe{\x00}\x00",
	} {
		f.Add([]byte(seed), "utf-8")
	}
	decoder := handlers.NewDecoder(handlers.Limits{})
	now := time.Date(2025, 12, 16, 20, 19, 31, 123456789, time.UTC)

	f.Fuzz(func(t *testing.T, payload []byte, contentEncoding string) {
		before := bytes.Clone(payload)
		m, rejection, failure := decoder.Decode(payload, contentEncoding)
		require.Equal(t, before, payload, "the payload is not ours to change")
		require.False(t, rejection != nil && failure != nil, "one outcome")

		again, againRejection, againFailure := decoder.Decode(payload, contentEncoding)
		require.Equal(t, m, again)
		require.Equal(t, rejection, againRejection)
		require.Equal(t, failure, againFailure)

		switch {
		case failure != nil:
			require.Zero(t, m)
			require.NotEmpty(t, failure.Code)
		case rejection != nil:
			requireStorable(t, m)
			event := handlers.NewRejected(m, payload, *rejection, now)
			requireRoundTrip(t, &event, &handlers.MessageRejected{})
		default:
			requireStorable(t, m)
			requireRules(t, m)
			requireSecondOpinion(t, payload, m)
			event := handlers.NewDelivered(stored(t, m))
			requireRoundTrip(t, &event, &handlers.MessageDelivered{})
		}
	})
}

// requireStorable: PostgreSQL takes neither invalid UTF-8 nor U+0000.
func requireStorable(t *testing.T, m handlers.Message) {
	t.Helper()
	require.Positive(t, m.SenderID)
	for _, text := range []string{m.ClientMessageID, m.ChatID, m.SentAt, m.Body} {
		require.True(t, utf8.ValidString(text))
		require.NotContains(t, text, "\x00")
	}
}

func requireRules(t *testing.T, m handlers.Message) {
	t.Helper()
	require.Zero(t, m.Unread)
	require.Positive(t, m.RecipientID)
	require.NotEqual(t, m.SenderID, m.RecipientID)
	require.NotEmpty(t, m.ClientMessageID)
	require.LessOrEqual(t, utf8.RuneCountInString(m.ClientMessageID), 128)
	require.NotEmpty(t, strings.TrimSpace(m.Body))
	require.LessOrEqual(t, len(m.Body), 16<<10)
	_, ok := m.ChatKey()
	require.True(t, ok)
	at, err := time.Parse(time.RFC3339Nano, m.SentAt)
	require.NoError(t, err)
	require.Positive(t, at.Year())
}

func requireSecondOpinion(t *testing.T, payload []byte, m handlers.Message) {
	t.Helper()
	var fields map[string]any // unlike a struct, a map has exact names
	numbers := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(payload, []byte("\uFEFF"))))
	numbers.UseNumber()
	require.NoError(t, numbers.Decode(&fields))
	require.Equal(t, m.ClientMessageID, fields["client_message_id"])
	require.Equal(t, m.ChatID, fields["chat_id"])
	require.Equal(t, m.SentAt, fields["sent_at"])
	require.Equal(t, m.Body, fields["body"])
	require.NotContains(t, []any{"delivered", "rejected"}, fields["status"])
}

// requireRoundTrip: whatever came in, the event is JSON that the gateway can
// dispatch, and reads back as it was.
func requireRoundTrip(t *testing.T, event, empty any) {
	t.Helper()
	marshaler := handlers.EventMarshaler{}
	msg, err := marshaler.Marshal(event)
	require.NoError(t, err)
	require.NoError(t, marshaler.Unmarshal(msg, empty))
	assert.Equal(t, event, empty)
	requireDispatchable(t, msg.Payload)
}

func requireDispatchable(t *testing.T, payload []byte) {
	t.Helper()
	var fields map[string]any
	require.True(t, utf8.Valid(payload))
	require.NoError(t, json.Unmarshal(payload, &fields))
	require.IsType(t, float64(0), fields["sender_id"])
	require.IsType(t, float64(0), fields["recipient_id"])
	require.Len(t, fields, 14)
}

// stored is the message as the table would have it.
func stored(t *testing.T, m handlers.Message) *queries.Message {
	t.Helper()
	chat, ok := m.ChatKey()
	require.True(t, ok)
	return &queries.Message{
		ChatID: chat, Seq: 12, SenderID: m.SenderID, RecipientID: m.RecipientID,
		DeliveredAt: time.Date(2025, 12, 16, 20, 19, 31, 123456000, time.UTC), Fingerprint: m.Fingerprint(),
		ClientMessageID: m.ClientMessageID, SentAt: m.SentAt, Body: m.Body,
	}
}
