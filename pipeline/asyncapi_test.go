package pipeline_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"chat-messaging/handlers"
	"chat-messaging/pipeline"
	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// asyncAPI is the description of our messages that others program by. These
// tests hold it against what the service really takes and sends.
type asyncAPI struct {
	Components struct {
		Messages map[string]struct {
			Headers  *schemaText
			Examples []struct {
				Name             string
				Headers, Payload json.RawMessage
			}
		}
		Schemas map[string]schemaText
	}
	compiler *jsonschema.Compiler
}

// schemaText is what the tests look at in a schema without evaluating it.
type schemaText struct {
	Properties map[string]json.RawMessage
	Enum       []string
	OneOf      []struct{ Const, Description string }
}

func readAsyncAPI(t *testing.T) *asyncAPI {
	t.Helper()
	text, err := os.ReadFile("../http/asyncapi.json")
	require.NoError(t, err)
	a := &asyncAPI{compiler: jsonschema.NewCompiler()}
	require.NoError(t, json.Unmarshal(text, a))
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	a.compiler.DefaultDraft(jsonschema.Draft2020)
	a.compiler.AssertFormat()
	require.NoError(t, a.compiler.AddResource("asyncapi.json", document))
	return a
}

// validate holds a JSON text against a part of a message's description.
func (a *asyncAPI) validate(t *testing.T, message, part string, text []byte) error {
	t.Helper()
	schema, err := a.compiler.Compile("asyncapi.json#/components/messages/" + message + "/" + part)
	require.NoError(t, err)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err, "%s", text)
	return schema.Validate(value)
}

func TestTheExamplesOfTheAsyncAPIDocumentAreValid(t *testing.T) {
	t.Parallel()
	a := readAsyncAPI(t)
	decoder := handlers.NewDecoder(handlers.Limits{})
	seen := 0
	for name, message := range a.Components.Messages {
		for _, example := range message.Examples {
			seen++
			require.NoError(t, a.validate(t, name, "payload", example.Payload), example.Name)
			if message.Headers != nil {
				require.NoError(t, a.validate(t, name, "headers", example.Headers), example.Name)
			}
			if name == "ChatMessage" {
				_, rejection, failure := decoder.Decode(example.Payload, "utf-8")
				require.Nil(t, rejection, example.Name)
				require.Nil(t, failure, example.Name)
			}
		}
	}
	require.GreaterOrEqual(t, seen, 6)
}

// requireEvent holds an event as published against its description.
func (a *asyncAPI) requireEvent(t *testing.T, message string, body []byte, properties map[string]any) {
	t.Helper()
	require.NoError(t, a.validate(t, message, "payload", body), "%s", body)
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(body, &members))
	require.ElementsMatch(t, slices.Collect(maps.Keys(a.Components.Schemas[message].Properties)), slices.Collect(maps.Keys(members)),
		"what is sent is described, and the other way round")
	maps.DeleteFunc(properties, func(_ string, value any) bool { return value == "" })
	text, err := json.Marshal(properties)
	require.NoError(t, err)
	require.NoError(t, a.validate(t, message, "x-amqp-properties", text), "%s", text)
}

func TestEventsAreAsTheAsyncAPIDocumentSays(t *testing.T) {
	t.Parallel()
	a := readAsyncAPI(t)
	now := time.Date(2025, 12, 16, 20, 19, 31, 120000789, time.FixedZone("", 3600))
	const largest = 1<<63 - 1
	events := map[string]any{
		"delivered": handlers.NewDelivered(&queries.Message{
			ChatID: 77, Seq: 1, SenderID: 1, RecipientID: 2, DeliveredAt: now, ClientMessageID: "m-1", SentAt: "2025-12-16T20:19:31.123456Z", Body: "hello",
		}),
		"delivered, all extremes": handlers.NewDelivered(&queries.Message{
			ChatID: largest, Seq: largest, SenderID: largest, RecipientID: largest, DeliveredAt: time.Unix(0, 0), IsEdited: true, IsDeleted: true,
			ClientMessageID: strings.Repeat("😀", 128), SentAt: "0001-01-01T00:00:00.123456789+23:59", Body: "\u2028\"\\</script>\x7f" + strings.Repeat("é", 8<<10),
		}),
	}
	for _, payload := range []string{
		`{"sender_id":1}`,
		`{"sender_id":"9223372036854775807","recipient_id":7.5,"client_message_id":{},"chat_id":7,"sent_at":[],"body":null}`,
		`{"sender_id":1e3,"recipient_id":"9223372036854775807","client_message_id":"","chat_id":"","sent_at":"","body":""}`,
		`{"sender_id":1,"recipient_id":2,"client_message_id":"a\u0000","chat_id":"\ud800","sent_at":"now","body":"\u0000"}`,
		`{"sender_id":1,"recipient_id":2,"client_message_id":"` + strings.Repeat("x", 1000) + `","chat_id":"` + strings.Repeat("9", 1000) + `"}`,
		`{"sender_id":1,"body":"a","body":"b"}`,
	} {
		message, rejection, failure := handlers.NewDecoder(handlers.Limits{}).Decode([]byte(payload), "")
		require.Nil(t, failure)
		require.NotNil(t, rejection, payload)
		events["rejected "+payload[:min(60, len(payload))]] = handlers.NewRejected(message, []byte(payload), *rejection, now)
	}
	for code, reason := range rejections(t) {
		message := handlers.Message{SenderID: 1, Unread: handlers.FieldBody}
		events["rejected "+code] = handlers.NewRejected(message, nil, handlers.Rejection{Code: code, Reason: reason}, now)
	}
	for name, event := range events {
		msg, err := handlers.EventMarshaler{}.Marshal(event)
		require.NoError(t, err, name)
		p, err := pipeline.Marshaler{}.Marshal(msg)
		require.NoError(t, err, name)
		require.Empty(t, p.Headers, name)
		kind := map[string]string{handlers.NameMessageDelivered: "MessageDelivered", handlers.NameMessageRejected: "MessageRejected"}[p.Type]
		require.LessOrEqual(t, propertyOctets(&p), 64, "%s: RabbitMQ no longer copies the properties", name)
		a.requireEvent(t, kind, p.Body, map[string]any{
			"message_id": p.MessageId, "type": p.Type, "timestamp": p.Timestamp, "content_type": p.ContentType, "content_encoding": p.ContentEncoding,
			"delivery_mode": p.DeliveryMode, "correlation_id": p.CorrelationId, "reply_to": p.ReplyTo, "expiration": p.Expiration, "app_id": p.AppId,
		})
	}
}

// What comes out of a real broker, behind the whole service.
func TestWhatTheServiceSendsIsAsTheAsyncAPIDocumentSays(t *testing.T) {
	t.Parallel()
	a := readAsyncAPI(t)
	b := newBench(t)
	chat := queriestest.Chat(t, b.db, 1, 2)
	b.sendPublishings(
		amqp.Publishing{Body: []byte(say(chat, 1, 2, "m-1", "hello"))},
		amqp.Publishing{Body: []byte(say(chat, 3, 2, "m-2", "let me in"))},
		amqp.Publishing{Body: []byte("not JSON")},
		amqp.Publishing{
			Body: []byte(`{"sender_id":{}}`), Expiration: "3600000", UserId: brokerUser(t), DeliveryMode: amqp.Persistent, MessageId: "its own",
			Headers: amqp.Table{
				"CC": []any{"elsewhere"}, "own": int32(1), "large": strings.Repeat("x", 60<<10), "larger": strings.Repeat("x", 60<<10),
				pipeline.HeaderPoisonID: "6f2c1c1e-6a5e-4b0e-9d4d-0a2f6b7a1c11", pipeline.HeaderReplayCount: int32(1),
			},
		},
	)
	events := b.dispatcher()
	b.serve()
	kinds := map[string]string{handlers.NameMessageDelivered: "MessageDelivered", handlers.NameMessageRejected: "MessageRejected"}
	seen := map[string]bool{}
	for _, e := range next(t, events, 2) {
		p := e.properties
		require.Empty(t, p.Headers)
		a.requireEvent(t, kinds[p.Type], p.Body, map[string]any{
			"message_id": p.MessageId, "type": p.Type, "timestamp": p.Timestamp, "content_type": p.ContentType, "content_encoding": p.ContentEncoding,
			"delivery_mode": p.DeliveryMode, "correlation_id": p.CorrelationId, "reply_to": p.ReplyTo, "expiration": p.Expiration, "app_id": p.AppId,
		})
		seen[p.Type] = true
	}
	require.Len(t, seen, 2)
	headers := map[string]bool{}
	for _, d := range b.poisoned(2) {
		text, err := json.Marshal(d.Headers)
		require.NoError(t, err)
		require.NoError(t, a.validate(t, "PoisonedMessage", "headers", text), "%s", text)
		for name := range d.Headers {
			headers[name] = true
		}
	}
	for name := range a.Components.Messages["PoisonedMessage"].Headers.Properties {
		require.True(t, headers[name], "no message of this test has the header %s", name)
	}
}

// The schema says what is taken, as far as a schema can.
func TestMessagesAreTakenAsTheAsyncAPIDocumentSays(t *testing.T) {
	t.Parallel()
	a := readAsyncAPI(t)
	decoder := handlers.NewDecoder(handlers.Limits{})
	values := map[string][]string{
		"client_message_id": {`"x"`, `""`, `null`, `7`, `"a\u0000"`, `"` + strings.Repeat("x", 128) + `"`, `"` + strings.Repeat("😀", 128) + `"`, `"` + strings.Repeat("x", 129) + `"`},
		"chat_id":           {`"1"`, `"9223372036854775807"`, `"0"`, `"01"`, `"-1"`, `"+1"`, `" 1"`, `""`, `7`, `null`, `{}`, `"x"`},
		"sender_id":         {`1`, `"1"`, `1.0`, `1e0`, `10e-1`, `9223372036854775807`, `0`, `-1`, `1.5`, `"01"`, `"1.0"`, `""`, `true`, `[1]`, `9223372036854775808`, `1e300`},
		"recipient_id":      {`3`, `"3"`, `3.0`, `0.3e1`, `0`, `"0"`, `-3`, `3.5`, `null`, `false`, `{}`},
		"sent_at": {
			`"2025-12-16T20:19:31.123456Z"`, `"2025-12-16T20:19:31Z"`, `"2025-12-16T20:19:31.1+05:30"`, `"2025-12-16T20:19:31.1234567891Z"`, `"2025-12-16 20:19:31Z"`,
			`"2025-12-16t20:19:31z"`, `"2025-12-16T20:19:31"`, `"2025-02-30T20:19:31Z"`, `"2025-12-16T24:19:31Z"`, `"2025-12-16T20:19:31,5Z"`, `""`, `"now"`, `7`, `null`,
		},
		"body":   {`"x"`, `" x "`, `""`, `" \n\t"`, `"a\u0000b"`, `null`, `7`, `{}`, `"👩‍👩‍👧"`},
		"status": {`"sent"`, `"read"`, `null`, `7`, `{}`, `"delivered"`, `"rejected"`},
		"id":     {`null`, `7`, `"x"`, `[]`},
		"other":  {`null`, `{"sender_id":7}`},
	}
	for name, texts := range values {
		for _, text := range append(texts, "") {
			members := map[string]json.RawMessage{}
			require.NoError(t, json.Unmarshal([]byte(say(77, 1, 2, "m-1", "hello")), &members))
			members[name] = json.RawMessage(text)
			if text == "" {
				delete(members, name)
			}
			payload := rawObject(members)
			_, rejection, failure := decoder.Decode(payload, "utf-8")
			taken := rejection == nil && failure == nil
			err := a.validate(t, "ChatMessage", "payload", payload)
			require.Equal(t, taken, err == nil, "%s %s: rejection %v, failure %v, schema: %v", name, text, rejection, failure, err)
		}
	}
}

// rawObject keeps the values as they are written: 1e0 stays 1e0.
func rawObject(members map[string]json.RawMessage) []byte {
	var parts []string
	for name, value := range members {
		parts = append(parts, fmt.Sprintf("%q:%s", name, value))
	}
	return []byte("{" + strings.Join(parts, ",") + "}")
}

// propertyOctets is how long the properties of an event are on the wire: their
// flags, the texts behind their lengths, the delivery mode and the timestamp.
func propertyOctets(p *amqp.Publishing) int {
	n := 2 + 1 + 8
	for _, text := range []string{p.ContentType, p.ContentEncoding, p.MessageId, p.Type} {
		n += 1 + len(text)
	}
	return n
}
