package poison_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline/poison"
)

func TestHeadersKeepTheirTypes(t *testing.T) {
	t.Parallel()
	table := amqp.Table{
		"void": nil, "bool": true, "int8": int8(-5), "uint8": uint8(200), "int16": int16(-300), "uint16": uint16(60000),
		"int32": int32(-70000), "uint32": uint32(4e9), "int64": int64(math.MinInt64), "float32": float32(0.1), "float64": 0.1,
		"inf": math.Inf(-1), "decimal": amqp.Decimal{Scale: 2, Value: 314}, "text": "ü\x00", "octets as text": "\xff\xfe",
		"bytes": []byte{0, 255}, "time": time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
		"table": amqp.Table{"deep": amqp.Table{"deeper": int8(1)}}, "list": []any{int32(1), "a", []any{nil, false}, amqp.Table{}},
		"empty": "", "none": []byte{},
	}
	text, err := poison.EncodeHeaders(table)
	require.NoError(t, err)
	again, err := poison.DecodeHeaders(text)
	require.NoError(t, err)
	require.Equal(t, table, again)

	text, err = poison.EncodeHeaders(amqp.Table{"nan": math.NaN()})
	require.NoError(t, err)
	again, err = poison.DecodeHeaders(text)
	require.NoError(t, err)
	require.True(t, math.IsNaN(again["nan"].(float64)))

	_, err = poison.EncodeHeaders(amqp.Table{"a": amqp.Table{"b": []any{struct{}{}}}})
	require.Error(t, err)
}

func TestHeadersThatNobodyWroteAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`[]`, `{"a":5}`, `{"a":{"type":"word","value":1}}`, `{"a":{"type":"int8","value":500}}`, `{"a":{"type":"int8"}}`,
		`{"a":{"type":"array","value":[{"type":"int8","value":"x"}]}}`, `{"a":{"type":"float64","value":1}}`, `{"a":{"type":"string","value":7}}`,
	} {
		_, err := poison.DecodeHeaders([]byte(text))
		require.Error(t, err, text)
	}
}

func FuzzHeaders(f *testing.F) {
	f.Add([]byte(`{"a":{"type":"table","value":{"b":{"type":"array","value":[{"type":"decimal","value":{"Scale":1,"Value":2}}]}}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		table, err := poison.DecodeHeaders(text)
		if err != nil {
			return
		}
		once, err := poison.EncodeHeaders(table)
		require.NoError(t, err)
		again, err := poison.DecodeHeaders(once)
		require.NoError(t, err)
		twice, err := poison.EncodeHeaders(again)
		require.NoError(t, err)
		require.JSONEq(t, string(once), string(twice))
	})
}

func TestEveryBodyTellsWhatItCan(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]struct {
		chat   string
		sender int64
		id     string
	}{
		`{"chat_id":"7","sender_id":5,"client_message_id":"m"}`:      {"7", 5, "m"},
		`{"chat_id":7,"sender_id":"5","client_message_id":null}`:     {"7", 5, ""},
		`{"x":{"chat_id":"no"},"sender_id":5.0}`:                     {"", 5, ""},
		`{"chat_id":"7","sender_id":5,"body":"cut o`:                 {"7", 5, ""},
		`{"chat_id":"7",,"sender_id":5}`:                             {"7", 0, ""},
		"\uFEFF" + `{"chat_id":"7"}`:                                 {"7", 0, ""},
		`{"sender_id":-5,"chat_id":{}}`:                              {"", 0, ""},
		`{"sender_id":1e300,"client_message_id":"` + long(300) + `"`: {"", 0, ""},
		`["chat_id"]`: {}, "": {}, "not JSON": {}, "\xff\xfe": {}, "null": {},
	} {
		n := poison.EntryOf(&amqp.Delivery{Body: []byte(body)}, topology, time.Now())
		require.Equal(t, want.chat, n.ChatID, body)
		require.Equal(t, want.sender, n.SenderID, body)
		require.Equal(t, want.id, n.ClientMessageID, body)
		require.Equal(t, body, string(n.Body))
		require.True(t, json.Valid(n.Properties))
	}
}
