package handlers_test

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"

	"chat-messaging/handlers"
)

func TestChatKey(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]int64{
		"1":                    1,
		"77":                   77,
		"9223372036854775807":  1<<63 - 1,
		"9223372036854775808":  0,
		"9999999999999999999":  0,
		"18446744073709551617": 0,
		"":                     0,
		"0":                    0,
		"00":                   0,
		"077":                  0,
		"+77":                  0,
		"-77":                  0,
		" 77":                  0,
		"77\n":                 0,
		"7 7":                  0,
		"0x7":                  0,
		"7e1":                  0,
		"7.0":                  0,
		"٧":                    0,
		"77-1":                 0,
	} {
		m := handlers.Message{ChatID: id}
		key, ok := m.ChatKey()
		assert.Equal(t, want != 0, ok, "%q", id)
		if ok {
			assert.Equal(t, want, key, "%q", id)
		}
	}
}

// The fingerprint is stored beside each message: were this test to need another
// value, every repeat of an older message would be taken for a conflict.
func TestFingerprintNeverChanges(t *testing.T) {
	t.Parallel()
	m := handlers.Message{
		ClientMessageID: "m-1", ChatID: "77", SenderID: 1, RecipientID: 2,
		SentAt: "2025-12-16T20:19:31.123456Z", Body: "hello",
	}
	sum := m.Fingerprint()
	assert.Equal(t, "4686e3d469d4fbbbb988980c3da2a85b", hex.EncodeToString(sum[:]))
}

func TestFingerprintTellsContentsApart(t *testing.T) {
	t.Parallel()
	base := handlers.Message{ChatID: "77", SenderID: 1, RecipientID: 2, SentAt: "2025", Body: "hello"}
	seen := map[[16]byte]handlers.Message{}
	for _, change := range []func(*handlers.Message){
		func(*handlers.Message) {},
		func(m *handlers.Message) { m.ChatID = "78" },
		func(m *handlers.Message) { m.RecipientID = 3 },
		func(m *handlers.Message) { m.SentAt = "2026" },
		func(m *handlers.Message) { m.Body = "hello " },
		func(m *handlers.Message) { m.SentAt, m.Body = "2025h", "ello" },
		func(m *handlers.Message) { m.SentAt, m.Body = "", "2025hello" },
		func(m *handlers.Message) { m.SentAt, m.Body = "2025hello", "" },
	} {
		m := base
		change(&m)
		sum := m.Fingerprint()
		assert.NotContains(t, seen, sum)
		seen[sum] = m
	}

	repeat := base
	repeat.SenderID, repeat.ClientMessageID = 9, "another key"
	assert.Equal(t, base.Fingerprint(), repeat.Fingerprint(), "the key is not part of the content")
}

func BenchmarkFingerprint(b *testing.B) {
	m, _, _ := handlers.NewDecoder(handlers.Limits{}).Decode([]byte(typical), "")
	b.ReportAllocs()
	for b.Loop() {
		m.Fingerprint()
	}
}
