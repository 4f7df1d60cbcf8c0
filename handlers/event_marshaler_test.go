package handlers_test

import (
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"chat-messaging/handlers"
)

func TestMarshalTakesValuesAndPointers(t *testing.T) {
	t.Parallel()
	marshaler := handlers.EventMarshaler{}
	d, r := delivered(), rejected(typical)
	for _, pair := range [][2]any{{d, &d}, {r, &r}} {
		byValue, err := marshaler.Marshal(pair[0])
		require.NoError(t, err)
		byPointer, err := marshaler.Marshal(pair[1])
		require.NoError(t, err)
		assert.True(t, byValue.Equals(byPointer))
		assert.Equal(t, marshaler.Name(pair[0]), marshaler.Name(pair[1]))
		assert.Equal(t, marshaler.Name(pair[0]), marshaler.NameFromMessage(byValue))
	}
}

func TestMarshalRefusesWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	for name, event := range map[string]any{
		"nil":                         nil,
		"another type":                struct{}{},
		"nil delivered":               (*handlers.MessageDelivered)(nil),
		"nil rejected":                (*handlers.MessageRejected)(nil),
		"rejected without an id":      handlers.MessageRejected{},
		"text that is not UTF-8":      handlers.MessageDelivered{Body: "\xff"},
		"rejected that is not UTF-8 ": handlers.NewRejected(handlers.Message{Body: "\xff"}, nil, handlers.RejectDuplicated, decidedAt),
	} {
		_, err := handlers.EventMarshaler{}.Marshal(event)
		assert.Error(t, err, name)
	}
}

func TestUnmarshalReadsWhatMarshalWrites(t *testing.T) {
	t.Parallel()
	d := delivered()
	requireRoundTrip(t, &d, &handlers.MessageDelivered{})
	r := rejected(`{"sender_id":1,"client_message_id":"","recipient_id":"9007199254740993","body":"\u0000"}`)
	requireRoundTrip(t, &r, &handlers.MessageRejected{})
	assert.Equal(t, handlers.FieldChatID|handlers.FieldSentAt|handlers.FieldBody, r.Unread)
	assert.Equal(t, int64(1<<53+1), r.RecipientID)
}

func TestUnmarshalIgnoresWhatALaterVersionAdds(t *testing.T) {
	t.Parallel()
	msg := marshaled(t, delivered())
	msg.Payload = replaced(t, msg.Payload, `{"id"`, `{"reactions":[],"id"`)
	var read handlers.MessageDelivered
	require.NoError(t, handlers.EventMarshaler{}.Unmarshal(msg, &read))
	assert.Equal(t, delivered(), read)
}

func TestUnmarshalIsStrict(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][2]string{
		"rounded integer":             {`"sender_id":9007199254740993`, `"sender_id":9007199254740993.5`},
		"integer as a string":         {`"sender_id":9007199254740993`, `"sender_id":"9007199254740993"`},
		"no sender":                   {`"sender_id":9007199254740993,`, ``},
		"sender null":                 {`"sender_id":9007199254740993`, `"sender_id":null`},
		"recipient 0":                 {`"recipient_id":90001`, `"recipient_id":0`},
		"no recipient":                {`"recipient_id":90001,`, ``},
		"no id":                       {`"id":"6917529027641081856-12"`, `"id":null`},
		"id of another message":       {`"id":"6917529027641081856-12"`, `"id":"6917529027641081856-13"`},
		"chat_id not canonical":       {`"chat_id":"69`, `"chat_id":"069`},
		"chat_id null":                {`"chat_id":"6917529027641081856"`, `"chat_id":null`},
		"body null":                   {`"body":"Tea`, `"body":null,"x":"Tea`},
		"name in other case":          {`"body":`, `"Body":`},
		"a name twice":                {`{"id"`, `{"seq":12,"id"`},
		"seq 0":                       {`"seq":12`, `"seq":0`},
		"seq null":                    {`"seq":12`, `"seq":null`},
		"a reject_code on delivered":  {`"reject_code":null`, `"reject_code":"duplicated"`},
		"another status":              {`"status":"delivered"`, `"status":"rejected"`},
		"time with a comma":           {`:31.120000Z"`, `:31,120000Z"`},
		"time with fewer digits":      {`:31.120000Z"`, `:31.12Z"`},
		"time of an offset":           {`:31.120000Z"`, `:31.120000+00:00"`},
		"no time":                     {`"delivered_at":"2025-12-16T19:19:31.120000Z",`, ``},
		"a boolean as a number":       {`"is_edited":false`, `"is_edited":0`},
		"something behind the object": {`"seq":12}`, `"seq":12}x`},
		"not an object":               {`{"id"`, `["id"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			msg := marshaled(t, delivered())
			msg.Payload = replaced(t, msg.Payload, change[0], change[1])
			read := handlers.MessageDelivered{Body: "untouched"}
			assert.Error(t, handlers.EventMarshaler{}.Unmarshal(msg, &read))
			assert.Equal(t, handlers.MessageDelivered{Body: "untouched"}, read)
		})
	}
	for name, change := range map[string][2]string{
		"no code":              {`"reject_code":"duplicated"`, `"reject_code":null`},
		"no reason":            {`"reject_reason":"Duplicated client_message_id."`, `"reject_reason":null`},
		"a seq":                {`"seq":null`, `"seq":1`},
		"an id":                {`"id":null`, `"id":"77-1"`},
		"edited":               {`"is_edited":false`, `"is_edited":true`},
		"a negative recipient": {`"recipient_id":90001`, `"recipient_id":-1`},
	} {
		t.Run("rejected: "+name, func(t *testing.T) {
			t.Parallel()
			msg := marshaled(t, rejected(typical))
			msg.Payload = replaced(t, msg.Payload, change[0], change[1])
			assert.Error(t, handlers.EventMarshaler{}.Unmarshal(msg, &handlers.MessageRejected{}))
		})
	}
}

func TestUnmarshalRefusesTheWrongTarget(t *testing.T) {
	t.Parallel()
	marshaler := handlers.EventMarshaler{}
	assert.Error(t, marshaler.Unmarshal(marshaled(t, delivered()), &handlers.MessageRejected{}))
	assert.Error(t, marshaler.Unmarshal(marshaled(t, rejected(typical)), &handlers.MessageDelivered{}))
	assert.Error(t, marshaler.Unmarshal(marshaled(t, delivered()), handlers.MessageDelivered{}))
	assert.Error(t, marshaler.Unmarshal(marshaled(t, delivered()), &struct{}{}))
	assert.Error(t, marshaler.Unmarshal(marshaled(t, delivered()), nil))
}

func TestNameFromMessage(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, metadata, payload, want string }{
		{"by its metadata", "message.edited", `{"status":"delivered"}`, "message.edited"},
		{"delivered by its old name", "message.delivered", "", handlers.NameMessageDelivered},
		{"rejected by its old name", "message.rejected", "", handlers.NameMessageRejected},
		{"delivered by its status", "", `{"status":"delivered"}`, handlers.NameMessageDelivered},
		{"rejected by its status", "", `{"status":"rejected"}`, handlers.NameMessageRejected},
		{"a message on its way in", "", typical, ""},
		{"another status type", "", `{"status":7}`, ""},
		{"not JSON", "", `delivered`, ""},
		{"nothing", "", "", ""},
	} {
		msg := message.NewMessage("", []byte(tc.payload))
		if tc.metadata != "" {
			msg.Metadata.Set(handlers.MetadataType, tc.metadata)
		}
		assert.Equal(t, tc.want, handlers.EventMarshaler{}.NameFromMessage(msg), tc.name)
	}
	assert.NotContains(t, []string{"", handlers.NameMessageDelivered, handlers.NameMessageRejected},
		handlers.EventMarshaler{}.Name(struct{}{}))
}

func marshaled(t *testing.T, event any) *message.Message {
	t.Helper()
	msg, err := handlers.EventMarshaler{}.Marshal(event)
	require.NoError(t, err)
	return msg
}

func replaced(t *testing.T, payload []byte, old, replacement string) []byte {
	t.Helper()
	require.Contains(t, string(payload), old)
	return []byte(strings.Replace(string(payload), old, replacement, 1))
}

func BenchmarkMarshal(b *testing.B) {
	d, r := delivered(), rejected(typical)
	for name, event := range map[string]any{"delivered": &d, "rejected": &r} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (handlers.EventMarshaler{}).Marshal(event); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
