package handlers_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"chat-messaging/handlers"
)

const kib = 1 << 10

func TestDecodeOutcomes(t *testing.T) {
	t.Parallel()
	decoder := handlers.NewDecoder(handlers.Limits{})

	for _, tc := range []struct {
		name    string
		payload string
		want    string
	}{
		// Not a message at all.
		{"empty", "", "poisoned empty"},
		{"only white space", " \r\n\t", "poisoned empty"},
		{"only a byte order mark", "\uFEFF", "poisoned empty"},
		{"text that is not JSON", "hello", "poisoned malformed_json"},
		{"truncated in a string", typical[:len(typical)/2], "poisoned malformed_json"},
		{"truncated before the brace", typical[:len(typical)-1], "poisoned malformed_json"},
		{"bytes behind the object", typical + "x", "poisoned malformed_json"},
		{"NUL behind the object", typical + "\x00", "poisoned malformed_json"},
		{"two objects", typical + typical, "poisoned malformed_json"},
		{"trailing comma", `{"sender_id":1,}`, "poisoned malformed_json"},
		{"missing colon", `{"sender_id" 1}`, "poisoned malformed_json"},
		{"single quotes", `{'sender_id':1}`, "poisoned malformed_json"},
		{"a comment", `{"sender_id":1/* one */}`, "poisoned malformed_json"},
		{"NaN", with("sender_id", "NaN"), "poisoned malformed_json"},
		{"raw control character in a string", with("body", "\"a\nb\""), "poisoned malformed_json"},
		{"raw NUL in a string", with("body", "\"a\x00b\""), "poisoned malformed_json"},
		{"unknown escape", with("body", `"\x41"`), "poisoned malformed_json"},
		{"broken inside an unknown field", with("x", `[1,}`), "poisoned malformed_json"},
		{"null at the top", "null", "poisoned not_an_object"},
		{"array at the top", "[" + typical + "]", "poisoned not_an_object"},
		{"string at the top", `"hello"`, "poisoned not_an_object"},
		{"number at the top", "7", "poisoned not_an_object"},
		{"broken array at the top", "[1", "poisoned malformed_json"},

		// Encodings.
		{"byte order mark before the object", "\uFEFF" + typical, "accepted"},
		{"two byte order marks", "\uFEFF\uFEFF" + typical, "poisoned malformed_json"},
		{"white space around the object", " \n" + typical + "\r\n\t ", "accepted"},
		{"UTF-16 with a mark, little endian", utf16Bytes("\uFEFF"+typical, false), "poisoned encoding"},
		{"UTF-16 with a mark, big endian", utf16Bytes("\uFEFF"+typical, true), "poisoned encoding"},
		{"UTF-16 without a mark, little endian", utf16Bytes(typical, false), "poisoned encoding"},
		{"UTF-16 without a mark, big endian", utf16Bytes(typical, true), "poisoned encoding"},
		{"Latin-1", with("body", "\"caf\xe9\""), "poisoned encoding"},
		{"invalid UTF-8 in an unknown field", with("x", "\"\xff\""), "poisoned encoding"},
		{"invalid UTF-8 in a name", "{\"\xc3\x28\":1}", "poisoned encoding"},
		{"overlong UTF-8", with("body", "\"\xc0\xaf\""), "poisoned encoding"},
		{"surrogate as UTF-8", with("body", "\"\xed\xa0\x80\""), "poisoned encoding"},

		// Sizes and depths.
		{"depth 32", with("x", nested(31)), "accepted"},
		{"depth 33", with("x", nested(32)), "poisoned too_deep"},
		{"depth 33 of objects", with("x", strings.Repeat(`{"a":`, 32)+"1"+strings.Repeat("}", 32)), "poisoned too_deep"},
		{"depth 33 in our own field", with("body", nested(32)), "poisoned too_deep"},
		{"depth 10,001", with("x", nested(10_000)), "poisoned too_deep"},
		{"depth 10,001 at the top", nested(10_001), "poisoned too_deep"},
		{"depth 100,000 that is never closed", with("x", strings.Repeat("[", 100_000)), "poisoned too_deep"},
		{"depth 1,000,000", nested(1_000_000), "poisoned too_large"},
		{"50,000 unknown fields", strings.TrimSuffix(with(), "}") + strings.Repeat(`,"":1`, 50_000) + "}", "accepted"},
		{"256 KiB", padded(256 * kib), "accepted"},
		{"one byte over 256 KiB", padded(256*kib + 1), "poisoned too_large"},
		{"1 MiB", padded(1 << 20), "poisoned too_large"},
		{"too large and not JSON", strings.Repeat("x", 1<<20), "poisoned too_large"},

		// Names.
		{"duplicate sender_id", with("+sender_id", "2"), "poisoned duplicate_key"},
		{"duplicate sender_id, same value", with("+sender_id", "1"), "poisoned duplicate_key"},
		{"duplicate sender_id, one spelled with an escape", with(`s\u0065nder_id`, "2"), "poisoned duplicate_key"},
		{"sender_id in upper case is unknown", with("SENDER_ID", "2"), "accepted"},
		{"sender_id with a long s is unknown", with("\u017fender_id", "2"), "accepted"},
		{"sender_id with an escaped long s is unknown", with(`\u017fender_id`, "2"), "accepted"},
		{"sender_id in upper case is no sender", with("sender_id", missing, "SENDER_ID", "1"), "poisoned no_sender"},
		{"sender_id in a nested object is no sender", with("sender_id", missing, "x", `{"sender_id":1}`), "poisoned no_sender"},
		{"names spelled with escapes", strings.ReplaceAll(with(), `_`, `\u005f`), "accepted"},
		{"half a surrogate pair in an unknown name", with(`\ud800`, "1"), "accepted"},
		{"duplicate body", with("+body", `"other"`), "rejected duplicate_key"},
		{"duplicate body, same value", with("+body", `"hello"`), "rejected duplicate_key"},
		{"duplicate recipient_id", with("+recipient_id", "2"), "rejected duplicate_key"},
		{"duplicate client_message_id", with("+client_message_id", `"m-1"`), "rejected duplicate_key"},
		{"duplicate chat_id", with("+chat_id", `"77"`), "rejected duplicate_key"},
		{"duplicate sent_at", with("+sent_at", "null"), "rejected duplicate_key"},
		{"duplicate unknown field", with("x", "1", "+x", "2"), "accepted"},
		{"duplicate field that is ignored", with("+status", `"sent"`, "id", "1", "+id", "2"), "accepted"},

		// client_message_id.
		{"client_message_id missing", with("client_message_id", missing), "rejected invalid_message"},
		{"client_message_id null", with("client_message_id", "null"), "rejected invalid_message"},
		{"client_message_id empty", with("client_message_id", `""`), "rejected invalid_message"},
		{"client_message_id a number", with("client_message_id", "7"), "rejected invalid_message"},
		{"client_message_id of 128 characters", with("client_message_id", quoted(strings.Repeat("x", 128))), "accepted"},
		{"client_message_id of 129 characters", with("client_message_id", quoted(strings.Repeat("x", 129))), "rejected invalid_message"},
		{"client_message_id of 128 characters in 512 bytes", with("client_message_id", quoted(strings.Repeat("😀", 128))), "accepted"},
		{"client_message_id of 129 characters in 516 bytes", with("client_message_id", quoted(strings.Repeat("😀", 129))), "rejected invalid_message"},
		{"client_message_id with an escaped NUL", with("client_message_id", `"a\u0000"`), "rejected invalid_message"},
		{"client_message_id with half a surrogate pair", with("client_message_id", `"\udc00"`), "rejected invalid_message"},

		// chat_id.
		{"chat_id missing", with("chat_id", missing), "rejected unknown_chat"},
		{"chat_id null", with("chat_id", "null"), "rejected unknown_chat"},
		{"chat_id a number", with("chat_id", "77"), "rejected unknown_chat"},
		{"chat_id empty", with("chat_id", `""`), "rejected unknown_chat"},
		{"chat_id 0", with("chat_id", `"0"`), "rejected unknown_chat"},
		{"chat_id negative", with("chat_id", `"-77"`), "rejected unknown_chat"},
		{"chat_id with a leading zero", with("chat_id", `"077"`), "rejected unknown_chat"},
		{"chat_id with a plus", with("chat_id", `"+77"`), "rejected unknown_chat"},
		{"chat_id with a space", with("chat_id", `"77 "`), "rejected unknown_chat"},
		{"chat_id of other digits", with("chat_id", `"٧٧"`), "rejected unknown_chat"},
		{"the largest chat_id", with("chat_id", `"9223372036854775807"`), "accepted"},
		{"chat_id 2^63", with("chat_id", `"9223372036854775808"`), "rejected unknown_chat"},
		{"chat_id of 10 KB", with("chat_id", quoted(strings.Repeat("9", 10_000))), "rejected unknown_chat"},
		{"chat_id of another system", with("chat_id", `"0b9c7a0e-6f0e-4d59-9a44-6f1b2f0f6f3e"`), "rejected unknown_chat"},
		{"chat_id with SQL", with("chat_id", `"'; DROP TABLE messages; --"`), "rejected unknown_chat"},
		{"chat_id with a wildcard", with("chat_id", `"%"`), "rejected unknown_chat"},
		{"chat_id an object", with("chat_id", `{"$ne":1}`), "rejected unknown_chat"},
		{"chat_id with an escaped NUL", with("chat_id", `"77\u0000"`), "rejected invalid_message"},
		{"chat_id with half a surrogate pair", with("chat_id", `"\ud800"`), "rejected invalid_message"},

		// Who.
		{"recipient is the sender", with("recipient_id", "1"), "rejected not_related"},
		{"recipient is the sender in another notation", with("recipient_id", `"1"`), "rejected not_related"},

		// body.
		{"body missing", with("body", missing), "rejected invalid_body"},
		{"body null", with("body", "null"), "rejected invalid_body"},
		{"body a number", with("body", "7"), "rejected invalid_body"},
		{"body an object", with("body", "{}"), "rejected invalid_body"},
		{"body empty", with("body", `""`), "rejected invalid_body"},
		{"body of white space", with("body", `" \n\t\u00a0\u2003"`), "rejected invalid_body"},
		{"body with white space around it", with("body", `" hello\n"`), "accepted"},
		{"body with an escaped NUL", with("body", `"a\u0000b"`), "rejected invalid_body"},
		{"body with an escaped backslash before u0000", with("body", `"a\\u0000b"`), "accepted"},
		{"body with half a surrogate pair", with("body", `"\ud800"`), "rejected invalid_body"},
		{"body with a surrogate pair in the wrong order", with("body", `"\ude00\ud83d"`), "rejected invalid_body"},
		{"body with a surrogate pair", with("body", `"\ud83d\ude00"`), "accepted"},
		{"body of 16 KiB", with("body", quoted(strings.Repeat("x", 16*kib))), "accepted"},
		{"body of 16 KiB and a byte", with("body", quoted(strings.Repeat("x", 16*kib+1))), "rejected body_too_long"},
		{"body of 16 KiB in escapes", with("body", quoted(strings.Repeat(`\u0041`, 16*kib))), "accepted"},
		{"body of fewer characters than bytes", with("body", quoted(strings.Repeat("é", 8*kib+1))), "rejected body_too_long"},
		{"right-to-left override", with("body", quoted("a\u202Eb")), "accepted"},
		{"zero width joiners and variation selectors", with("body", quoted("👩‍👩‍👧‍👦 ❤️")), "accepted"},
		{"a flood of combining marks", with("body", quoted("a"+strings.Repeat("\u0301", 1000))), "accepted"},
		{"noncharacters", with("body", quoted("\uFFFE\uFFFF\uFDD0")), "accepted"},
		{"the replacement character itself", with("body", quoted("\uFFFD")), "accepted"},
		{"HTML", with("body", quoted("<script>alert(1)</script>")), "accepted"},

		// What the sender has no say in.
		{"fields of the outcome are ignored", with("id", `"x"`, "seq", "7", "delivered_at", "[]", "is_edited", `"yes"`, "is_deleted", "true"), "accepted"},
		{"reject_reason is ignored", with("reject_reason", `"x"`, "reject_code", "{}"), "accepted"},
		{"status null", with("status", "null"), "accepted"},
		{"status missing", with("status", missing), "accepted"},
		{"status a number", with("status", "7"), "accepted"},
		{"status of another kind", with("status", `"read"`), "accepted"},
		{"our own delivered event", with("status", `"delivered"`), "poisoned loop"},
		{"our own rejected event", with("status", `"rejected"`), "poisoned loop"},
		{"our own event, spelled with an escape", with("status", `"deliver\u0065d"`), "poisoned loop"},
		{"our own event behind another status", with("+status", `"delivered"`), "poisoned loop"},
		{"the status of a nested object", with("x", `{"status":"delivered"}`), "accepted"},

		// The first problem is the one that is told.
		{"broken end behind two senders", with("+sender_id", "2") + "x", "poisoned malformed_json"},
		{"two senders before a loop", with("+sender_id", "2", "status", `"delivered"`), "poisoned duplicate_key"},
		{"loop before a bad sender", with("sender_id", "0", "status", `"delivered"`), "poisoned loop"},
		{"bad sender before two bodies", with("sender_id", "0", "+body", `""`), "poisoned bad_sender"},
		{"two bodies before a bad client_message_id", with("client_message_id", "7", "+body", `""`), "rejected duplicate_key"},
		{"bad client_message_id before a bad chat_id", with("client_message_id", "7", "chat_id", "7"), "rejected invalid_message"},
		{"bad chat_id before a bad recipient_id", with("chat_id", "7", "recipient_id", "0"), "rejected unknown_chat"},
		{"bad recipient_id before a bad sent_at", with("recipient_id", "0", "sent_at", "7"), "rejected invalid_message"},
		{"recipient is the sender before a bad sent_at", with("recipient_id", "1", "sent_at", "7"), "rejected not_related"},
		{"bad sent_at before a bad body", with("sent_at", "7", "body", "7"), "rejected invalid_sent_at"},
		{"an empty object", "{}", "poisoned no_sender"},
		{"only a sender", `{"sender_id":1}`, "rejected invalid_message"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m, rejection, failure := decoder.Decode([]byte(tc.payload), "utf-8")
			assert.Equal(t, tc.want, outcome(rejection, failure))
			if failure != nil {
				assert.Equal(t, "validate", failure.Stage)
				assert.NotEmpty(t, failure.Detail)
				assert.Less(t, len(failure.Detail), 100)
				assert.Zero(t, m)
				return
			}
			assert.Positive(t, m.SenderID, "whoever is answered must be known")
			if rejection == nil {
				assert.Empty(t, m.Unread, "an accepted message is whole")
			}
		})
	}
}
