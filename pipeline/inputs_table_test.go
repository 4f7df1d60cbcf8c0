package pipeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	amqp "github.com/rabbitmq/amqp091-go"
)

// everyInput is what is known to go wrong with a message or its delivery, each
// with its outcome.
func everyInput(t testing.TB) []input {
	return slices.Concat(
		inputsThatAreNoMessage(), inputsOfOtherEncodings(), inputsOfAnySize(), inputsWithRepeatedNames(),
		inputsFromNobody(), inputsToNobody(), inputsWithoutAChat(), inputsWithoutAnID(), inputsUnderOneID(),
		inputsWithoutAText(), inputsWithoutATime(), inputsThatKnowBetter(), inputsInUnusualDeliveries(t),
	)
}

func always(text string) func(string) string { return func(string) string { return text } }

func inputsThatAreNoMessage() []input {
	return []input{
		payload("nothing", "poisoned empty", always("")),
		payload("a text that is not JSON", "poisoned malformed_json", always("hello")),
		payload("JSON that is cut off", "poisoned malformed_json", func(m string) string { return m[:len(m)-1] }),
		payload("JSON that is cut off within a string", "poisoned malformed_json", func(m string) string { return m[:25] }),
		payload("JSON with something behind it", "poisoned malformed_json", func(m string) string { return m + "x" }),
		payload("two objects", "poisoned malformed_json", func(m string) string { return m + m }),
		payload("null", "poisoned not_an_object", always("null")),
		payload("a list", "poisoned not_an_object", func(m string) string { return "[" + m + "]" }),
		payload("a string", "poisoned not_an_object", always(`"hello"`)),
		payload("a number", "poisoned not_an_object", always("7")),
		field("our own delivered event", "poisoned loop", "status", `"delivered"`, "seq", "1"),
		field("our own rejected event", "poisoned loop", "status", `"rejected"`),
	}
}

func inputsOfOtherEncodings() []input {
	wide := func(m string) string {
		var text strings.Builder
		for _, unit := range utf16.Encode([]rune("\uFEFF" + m)) {
			text.Write([]byte{byte(unit), byte(unit >> 8)})
		}
		return text.String()
	}
	hello := func(to string) func(string) string {
		return func(m string) string { return strings.Replace(m, "hello", to, 1) }
	}
	return []input{
		payload("a byte order mark before the object", "delivered", func(m string) string { return "\uFEFF" + m }),
		payload("UTF-16", "poisoned encoding", wide),
		payload("Latin-1", "poisoned encoding", hello("caf\xe9")),
		payload("a surrogate encoded as UTF-8", "poisoned encoding", hello("\xed\xa0\x80")),
		field("invalid UTF-8 in a field that nobody reads", "poisoned encoding", "x", "\"\xff\""),
		field("NUL in the text", "rejected invalid_body", "body", `"a\u0000b"`),
		field("NUL in the client's id", "rejected invalid_message", "client_message_id", `"a\u0000"`),
		field("NUL in the chat's id", "rejected invalid_message", "chat_id", `"7\u0000"`),
		field("half a surrogate pair in the text", "rejected invalid_body", "body", `"\ud800"`),
		field("half a surrogate pair in the client's id", "rejected invalid_message", "client_message_id", `"\ud800"`),
	}
}

func inputsOfAnySize() []input {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	unknown := func(n int) func(string) string {
		return func(m string) string { return strings.TrimSuffix(m, "}") + strings.Repeat(`,"x":1`, n) + "}" }
	}
	filled := func(n int) func(string) string {
		return func(m string) string { return strings.Replace(m, "hello", strings.Repeat("x", n), 1) }
	}
	return []input{
		field("as deep as may be", "delivered", "x", deep(31)),
		field("one deeper", "poisoned too_deep", "x", deep(32)),
		field("10,001 deep", "poisoned too_deep", "x", deep(10_000)),
		payload("100,000 deep and never closed", "poisoned too_deep", always(strings.Repeat("[", 100_000))),
		field("1,000,000 deep", "poisoned too_large", "x", deep(1_000_000)),
		payload("30,000 unknown fields", "delivered", unknown(30_000)),
		payload("100,000 unknown fields", "poisoned too_large", unknown(100_000)),
		payload("a payload of 1 MiB", "poisoned too_large", filled(1<<20)),
		payload("a payload of 16 MiB", "poisoned too_large", filled(16<<20)),
		payload("a payload of 16 MiB that is not JSON", "poisoned too_large", always(strings.Repeat("\xff", 16<<20))),
	}
}

func inputsWithRepeatedNames() []input {
	return []input{
		field("two senders", "poisoned duplicate_key", "+sender_id", "2"),
		field("two senders, one name written with an escape", "poisoned duplicate_key", `s\u0065nder_id`, "2"),
		field("two texts", "rejected duplicate_key", "+body", `"other"`),
		field("SENDER_ID beside sender_id", "delivered", "SENDER_ID", "2"),
		field("sender_id with a long s beside sender_id", "delivered", "\u017fender_id", "2"),
		field("sender_id with an escaped long s beside sender_id", "delivered", `\u017fender_id`, "2"),
		field("only SENDER_ID", "poisoned no_sender", "sender_id", gone, "SENDER_ID", "1"),
	}
}

// notNumbers are what is no id of a user, with their names.
func notNumbers() [][2]string {
	list := [][2]string{
		{"a space before the digits", `" 7"`},
		{"a plus", `"+7"`},
		{"a leading zero", `"07"`},
		{"a fraction in a text", `"7.0"`},
		{"hexadecimal", `"0x7"`},
		{"other digits", `"٧"`},
		{"an empty text", `""`},
		{"a half", "7.5"},
		{"true", "true"},
		{"a list", "[7]"},
		{"an object", "{}"},
		{"0", "0"},
		{"a negative number", "-1"},
		{"2^63", "9223372036854775808"},
		{"1e400", "1e400"},
		{"400 digits", strings.Repeat("9", 400)},
	}
	return list
}

func inputsFromNobody() []input {
	list := []input{
		field("no sender", "poisoned no_sender", "sender_id", gone),
		field("a sender that is null", "poisoned no_sender", "sender_id", "null"),
		// The ids of the two users stand for themselves: what they are must come out.
		{name: "a sender in digits", want: []string{"delivered"}, write: func(d draft) []amqp.Publishing {
			return []amqp.Publishing{plain(d.with("sender_id", fmt.Sprintf(`"%d"`, d.sender)))}
		}},
		{name: "a sender with a fraction of zero", want: []string{"delivered"}, write: func(d draft) []amqp.Publishing {
			return []amqp.Publishing{plain(d.with("sender_id", fmt.Sprintf("%d.0", d.sender)))}
		}},
		{name: "a sender with an exponent", from: 7_000, want: []string{"delivered"}, write: func(d draft) []amqp.Publishing {
			return []amqp.Publishing{plain(d.with("sender_id", "7e3"))}
		}},
		{name: "2^53+1, which is no float", from: 1<<53 + 1, want: []string{"delivered"}, write: func(d draft) []amqp.Publishing {
			return []amqp.Publishing{plain(d.with())}
		}},
		{name: "2^63-1, the last of all", from: 1<<63 - 1, want: []string{"delivered"}, write: func(d draft) []amqp.Publishing {
			return []amqp.Publishing{plain(d.with())}
		}},
	}
	for _, bad := range notNumbers() {
		list = append(list, field("as the sender, "+bad[0], "poisoned bad_sender", "sender_id", bad[1]))
	}
	return list
}

func inputsToNobody() []input {
	list := []input{
		field("no recipient", "rejected invalid_message", "recipient_id", gone),
		field("a recipient that is null", "rejected invalid_message", "recipient_id", "null"),
		{name: "to oneself", want: []string{"rejected not_related"}, write: func(d draft) []amqp.Publishing {
			return []amqp.Publishing{plain(d.with("recipient_id", fmt.Sprint(d.sender)))}
		}},
		field("to somebody who is not in the chat", "rejected not_related", "recipient_id", "3"),
		{name: "into a chat of others", outside: true, want: []string{"rejected not_related"}, write: func(d draft) []amqp.Publishing {
			return []amqp.Publishing{plain(d.with())}
		}},
	}
	for _, bad := range notNumbers() {
		list = append(list, field("as the recipient, "+bad[0], "rejected invalid_message", "recipient_id", bad[1]))
	}
	return list
}

func inputsWithoutAChat() []input {
	var list []input
	for name, value := range map[string]string{
		"an unknown id": `"4611686018427387904"`, "a number": "7", "an empty text": `""`, "null": "null", "missing": gone,
		"10,000 digits": `"` + strings.Repeat("9", 10_000) + `"`, "an id of another system": `"0b9c7a0e-6f0e-4d59-9a44-6f1b2f0f6f3e"`,
		"SQL": `"'; DROP TABLE messages; --"`, "a quote": `"'"`, "a wildcard": `"%"`, "an operator": `{"$ne":1}`, "a sign": `"+7"`,
	} {
		list = append(list, field("as the chat, "+name, "rejected unknown_chat", "chat_id", value))
	}
	return list
}

func inputsWithoutAnID() []input {
	long := func(n int) string { return `"` + strings.Repeat("x", n) + `"` }
	return []input{
		field("no client's id", "rejected invalid_message", "client_message_id", gone),
		field("a client's id that is null", "rejected invalid_message", "client_message_id", "null"),
		field("an empty client's id", "rejected invalid_message", "client_message_id", `""`),
		field("a client's id that is a number", "rejected invalid_message", "client_message_id", "7"),
		field("the longest client's id", "delivered", "client_message_id", long(128)),
		field("a client's id of 256 characters", "rejected invalid_message", "client_message_id", long(256)),
		field("a client's id of 10,000 characters", "rejected invalid_message", "client_message_id", long(10_000)),
	}
}

func inputsUnderOneID() []input {
	twice := func(pairs ...string) func(d draft) []string {
		return func(d draft) []string { return []string{d.with(), d.with(pairs...)} }
	}
	return []input{
		several("the same again", twice(), "delivered", "repeated"),
		several("the same again in another spelling", twice("body", `"\u0068ello"`), "delivered", "repeated"),
		several("another text under the same id", twice("body", `"other"`), "delivered", "rejected duplicated"),
		several("another time under the same id", twice("sent_at", `"2025-12-16T20:19:32Z"`), "delivered", "rejected duplicated"),
		several("a conflict, and then the first again", func(d draft) []string {
			return []string{d.with(), d.with("body", `"other"`), d.with()}
		}, "delivered", "rejected duplicated", "repeated"),
		several("a rejected message's id used again", func(d draft) []string {
			return []string{d.with("body", `""`), d.with()}
		}, "rejected invalid_body", "delivered"),
		several("many under one id", func(d draft) []string {
			return slices.Repeat([]string{d.with()}, 10)
		}, append([]string{"delivered"}, slices.Repeat([]string{"repeated"}, 9)...)...),
		// Everybody else in this table uses the id m-1, too.
		field("an id that others use", "delivered"),
	}
}

func inputsWithoutAText() []input {
	text := func(s string) string { return `"` + s + `"` }
	return []input{
		field("no text", "rejected invalid_body", "body", gone),
		field("a text that is null", "rejected invalid_body", "body", "null"),
		field("a text that is a number", "rejected invalid_body", "body", "7"),
		field("an empty text", "rejected invalid_body", "body", `""`),
		field("a text of white space", "rejected invalid_body", "body", `" \n\t\u00a0\u2003"`),
		field("the longest text", "delivered", "body", text(strings.Repeat("x", 16<<10))),
		field("a text that is a byte longer", "rejected body_too_long", "body", text(strings.Repeat("x", 16<<10+1))),
		field("a text of fewer characters but more bytes", "rejected body_too_long", "body", text(strings.Repeat("é", 8<<10+1))),
		field("a right-to-left override", "delivered", "body", text("a\u202Eb")),
		field("zero width characters", "delivered", "body", text("a\u200b\u200db")),
		field("a family of emoji", "delivered", "body", text("👩‍👩‍👧‍👦")),
		field("a flood of combining marks", "delivered", "body", text("a"+strings.Repeat("\u0301", 1000))),
		field("noncharacters", "delivered", "body", text("\uFFFE\uFFFF\uFDD0")),
		field("composed and decomposed letters", "delivered", "body", text("\u00e9e\u0301")),
		field("HTML", "delivered", "body", text("<script>alert('x')</script>&amp;")),
		field("escapes of every kind", "delivered", "body", text(`\"\\\/\b\f\n\r\t\u0001\u2028\ud83d\ude00`)),
	}
}

func inputsWithoutATime() []input {
	var list []input
	for _, good := range []string{
		"2025-12-16T20:19:31Z", "2025-12-16T20:19:31.1Z", "2025-12-16T20:19:31.123Z", "2025-12-16T20:19:31.123456Z",
		"2025-12-16T20:19:31.123456789Z", "1970-01-01T00:00:00Z", "2100-12-31T23:59:59Z", "2024-02-29T00:00:00Z",
	} {
		list = append(list, field("at "+good, "delivered", "sent_at", `"`+good+`"`))
	}
	for _, bad := range []string{
		"2025-12-16T20:19:31,123456Z", "2025-12-16T20:19:31+02:00", "2025-12-16t20:19:31Z", "2025-12-16T20:19:31z",
		"2025-12-16T20:19:31.1234567890Z", "2025-02-30T00:00:00Z", "2025-12-31T23:59:60Z", "0000-01-01T00:00:00Z",
		"10000-01-01T00:00:00Z", "infinity", "", "2025-12-16T20:19:31", "2025-12-16 20:19:31Z",
	} {
		list = append(list, field("at "+bad, "rejected invalid_sent_at", "sent_at", `"`+bad+`"`))
	}
	return append(list,
		field("at a number", "rejected invalid_sent_at", "sent_at", "1765916371"),
		field("at null", "rejected invalid_sent_at", "sent_at", "null"),
		field("at no time", "rejected invalid_sent_at", "sent_at", gone),
	)
}

func inputsThatKnowBetter() []input {
	return []input{
		field("fields of the outcome", "delivered", "id", `"x"`, "seq", "77", "delivered_at", `"2000-01-01T00:00:00Z"`,
			"is_edited", "true", "is_deleted", "true", "reject_code", `"x"`, "reject_reason", `"x"`),
		field("a status that is none of ours", "delivered", "status", `"read"`),
		field("a status that is null", "delivered", "status", "null"),
	}
}

func inputsInUnusualDeliveries(t testing.TB) []input {
	at := time.Date(2025, 12, 16, 20, 19, 31, 0, time.UTC)
	many := amqp.Table{}
	for i := range 1000 {
		many[fmt.Sprintf("h%04d", i)] = int32(i)
	}
	list := []input{
		carried("headers of every type", func(p *amqp.Publishing) {
			p.Headers = amqp.Table{
				"int": int32(1), "bool": true, "table": amqp.Table{"a": amqp.Table{"b": nil}}, "array": []any{"a", int64(1), nil},
				"timestamp": at, "decimal": amqp.Decimal{Scale: 2, Value: 5}, "nil": nil, "bytes": []byte{0, 0xff}, "float": 1.5,
			}
		}),
		carried("headers of a dead letter", func(p *amqp.Publishing) {
			p.Headers = amqp.Table{
				"x-death": []any{amqp.Table{"count": int64(3), "reason": "rejected", "queue": "q", "time": at}}, "x-delivery-count": int64(7),
				"x-first-death-exchange": "e", "x-first-death-queue": "q", "x-first-death-reason": "expired",
			}
		}),
		carried("headers that only Watermill would write", func(p *amqp.Publishing) {
			p.Headers = amqp.Table{"_watermill_message_uuid": "x", "reason_poisoned": "a stranger's", "x-poison-code": "panic", "type": int32(5)}
		}),
		carried("a thousand headers", func(p *amqp.Publishing) { p.Headers = many }),
		carried("a hundred kilobytes of headers", func(p *amqp.Publishing) { p.Headers = amqp.Table{"long": strings.Repeat("x", 100_000)} }),
		carried("no content type", func(p *amqp.Publishing) { p.ContentType = "" }),
		carried("another content type", func(p *amqp.Publishing) { p.ContentType = "text/plain" }),
		carried("a charset that it does not have", func(p *amqp.Publishing) { p.ContentType = "application/json; charset=latin1" }),
		carried("no content encoding", func(p *amqp.Publishing) { p.ContentEncoding = "" }),
		carried("properties that mean nothing here", func(p *amqp.Publishing) {
			p.Expiration, p.Priority, p.ReplyTo, p.UserId, p.AppId, p.Type = "3600000", 9, "reply", brokerUser(t), "app", "delivered"
		}),
		carried("a time stamp of the year 9999", func(p *amqp.Publishing) { p.Timestamp = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC) }),
		carried("a time stamp of 1970", func(p *amqp.Publishing) { p.Timestamp = time.Unix(0, 0) }),
		carried("the longest message id", func(p *amqp.Publishing) { p.MessageId = strings.Repeat("i", 255) }),
		carried("a message id that another one has", func(p *amqp.Publishing) { p.MessageId = strings.Repeat("i", 255) }),
		{name: "compressed", want: []string{"poisoned encoding"}, write: func(d draft) []amqp.Publishing {
			p := plain(d.with())
			p.ContentEncoding = "gzip"
			return []amqp.Publishing{p}
		}},
		{name: "a message id that repeats, on what cannot be read", want: []string{"poisoned malformed_json", "poisoned malformed_json"}, write: func(draft) []amqp.Publishing {
			p := plain("neither of the two")
			p.MessageId = "the same"
			return []amqp.Publishing{p, p}
		}},
		{name: "past the exchange", direct: true, want: []string{"delivered"}, write: func(d draft) []amqp.Publishing {
			return []amqp.Publishing{plain(d.with())}
		}},
		{name: "by another binding", key: "another", want: []string{"delivered"}, write: func(d draft) []amqp.Publishing {
			return []amqp.Publishing{plain(d.with())}
		}},
	}
	for _, mode := range []uint8{0, 1, 2} { // at any other the broker closes the producer's channel
		list = append(list, carried(fmt.Sprintf("delivery mode %d", mode), func(p *amqp.Publishing) { p.DeliveryMode = mode }))
	}
	return list
}
