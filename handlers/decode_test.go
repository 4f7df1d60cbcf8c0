package handlers_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"chat-messaging/handlers"
)

func TestDecodeContentEncoding(t *testing.T) {
	t.Parallel()
	decoder := handlers.NewDecoder(handlers.Limits{})
	for encoding, want := range map[string]string{
		"":                       "accepted",
		"utf-8":                  "accepted",
		"UTF-8":                  "accepted",
		"utf8":                   "accepted",
		"Identity":               "accepted",
		"gzip":                   "poisoned encoding",
		"deflate":                "poisoned encoding",
		"latin1":                 "poisoned encoding",
		"utf-16":                 "poisoned encoding",
		strings.Repeat("x", 1e6): "poisoned encoding",
	} {
		_, rejection, failure := decoder.Decode([]byte(typical), encoding)
		assert.Equal(t, want, outcome(rejection, failure), "content encoding %.20q", encoding)
		if failure != nil {
			assert.NotContains(t, failure.Detail, encoding)
		}
	}
}

func TestDecodeKeepsEveryTextAsItCame(t *testing.T) {
	t.Parallel()
	decoder := handlers.NewDecoder(handlers.Limits{})

	m, rejection, failure := decoder.Decode([]byte(typical), "utf-8")
	require.Equal(t, "accepted", outcome(rejection, failure))
	assert.Equal(t, handlers.Message{
		ClientMessageID: "0b9c7a0e-6f0e-4d59-9a44-6f1b2f0f6f3e",
		ChatID:          "6917529027641081856",
		SenderID:        4007,
		RecipientID:     90001,
		SentAt:          "2025-12-16T20:19:31.123456Z",
		Body:            "See you at eight, then. I bring the map.",
	}, m)

	m, rejection, failure = decoder.Decode([]byte(with(
		"client_message_id", `" \u00e9\/\"\\ "`, "body", `"\ud83d\ude00 e\u0301 \u2028 <b>&amp;\r\n "`)), "")
	require.Equal(t, "accepted", outcome(rejection, failure))
	assert.Equal(t, ` é/"\ `, m.ClientMessageID)
	assert.Equal(t, "😀 e\u0301 \u2028 <b>&amp;\r\n ", m.Body)
}

func TestDecodeKeepsWhatIsReadableOfARejectedMessage(t *testing.T) {
	t.Parallel()
	decoder := handlers.NewDecoder(handlers.Limits{})
	whole := handlers.Message{
		ClientMessageID: "m-1", ChatID: "77", SenderID: 1, RecipientID: 2,
		SentAt: "2025-12-16T20:19:31.123456Z", Body: "hello",
	}
	for _, tc := range []struct {
		name    string
		payload string
		change  func(*handlers.Message)
	}{
		{"number for client_message_id", with("client_message_id", "7"), func(m *handlers.Message) {
			m.ClientMessageID, m.Unread = "", handlers.FieldClientMessageID
		}},
		{"empty client_message_id", with("client_message_id", `""`), func(m *handlers.Message) {
			m.ClientMessageID = ""
		}},
		{"NUL in client_message_id", with("client_message_id", `"\u0000"`), func(m *handlers.Message) {
			m.ClientMessageID, m.Unread = "", handlers.FieldClientMessageID
		}},
		{"number for chat_id", with("chat_id", "77"), func(m *handlers.Message) {
			m.ChatID, m.Unread = "", handlers.FieldChatID
		}},
		{"odd chat_id", with("chat_id", `" 77"`), func(m *handlers.Message) {
			m.ChatID = " 77"
		}},
		{"bad recipient_id", with("recipient_id", "2.5"), func(m *handlers.Message) {
			m.RecipientID, m.Unread = 0, handlers.FieldRecipientID
		}},
		{"two recipients", with("+recipient_id", "3"), func(m *handlers.Message) {
			m.RecipientID, m.Unread = 0, handlers.FieldRecipientID
		}},
		{"odd sent_at", with("sent_at", `"today"`), func(m *handlers.Message) {
			m.SentAt = "today"
		}},
		{"body null and sent_at missing", with("body", "null", "sent_at", missing), func(m *handlers.Message) {
			m.SentAt, m.Body, m.Unread = "", "", handlers.FieldSentAt|handlers.FieldBody
		}},
		{"two bodies", with("+body", `"hello"`), func(m *handlers.Message) {
			m.Body, m.Unread = "", handlers.FieldBody
		}},
		{"half a surrogate pair in the body", with("body", `"\ud800"`), func(m *handlers.Message) {
			m.Body, m.Unread = "", handlers.FieldBody
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m, rejection, failure := decoder.Decode([]byte(tc.payload), "")
			require.Contains(t, outcome(rejection, failure), "rejected")
			want := whole
			tc.change(&want)
			assert.Equal(t, want, m)
		})
	}
}

func TestDecodeObeysItsLimits(t *testing.T) {
	t.Parallel()
	decoder := handlers.NewDecoder(handlers.Limits{MaxBodyBytes: 5, MaxPayloadBytes: 200, MaxDepth: 3, MaxClientMessageID: 4})
	for _, tc := range []struct{ payload, want string }{
		{with(), "accepted"},
		{with("body", `"hello!"`), "rejected body_too_long"},
		{with("client_message_id", `"m-100"`), "rejected invalid_message"},
		{with("x", nested(2)), "accepted"},
		{with("x", nested(3)), "poisoned too_deep"},
		{with("x", quoted(strings.Repeat("x", 100))), "poisoned too_large"},
	} {
		_, rejection, failure := decoder.Decode([]byte(tc.payload), "")
		assert.Equal(t, tc.want, outcome(rejection, failure), tc.payload)
	}
}

func TestDecodeIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	decoder := handlers.NewDecoder(handlers.Limits{})
	var all sync.WaitGroup
	for _, text := range []string{"one", `t\u0077o`, "three", `\ud83d\ude00`} {
		all.Go(func() {
			first, _, _ := decoder.Decode([]byte(with("body", quoted(text))), "")
			for range 200 {
				again, _, _ := decoder.Decode([]byte(with("body", quoted(text))), "")
				assert.Equal(t, first, again)
			}
		})
	}
	all.Wait()
}

func TestDecodeLeavesThePayloadAlone(t *testing.T) {
	t.Parallel()
	payload := []byte("\uFEFF" + with("body", `"\u00e9\ud83d\ude00"`))
	before := string(payload)
	m, _, _ := handlers.NewDecoder(handlers.Limits{}).Decode(payload, "")
	assert.Equal(t, before, string(payload))

	want := m
	clear(payload)
	assert.Equal(t, want.Body, "é😀", "the message must not point into the payload")
	assert.Equal(t, want, m)
}

func BenchmarkDecode(b *testing.B) {
	decoder := handlers.NewDecoder(handlers.Limits{})
	for _, bench := range []struct{ name, payload string }{
		{"typical", typical},
		{"escaped", with("body", quoted(strings.Repeat(`\u043f\u0440\u0438\u0432\u0435\u0442 `, 6)))},
		{"rejected", with("body", "7")},
	} {
		b.Run(bench.name, func(b *testing.B) {
			payload := []byte(bench.payload)
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, failure := decoder.Decode(payload, "utf-8"); failure != nil {
					b.Fatal(failure)
				}
			}
		})
	}
}
