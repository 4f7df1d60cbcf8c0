package handlers_test

import (
	"strings"
	"unicode/utf16"

	"chat-messaging/handlers"
)

// typical is what the gateway sends.
const typical = `{"id": null, "client_message_id": "0b9c7a0e-6f0e-4d59-9a44-6f1b2f0f6f3e", ` +
	`"chat_id": "6917529027641081856", "sender_id": 4007, "recipient_id": 90001, ` +
	`"sent_at": "2025-12-16T20:19:31.123456Z", "body": "See you at eight, then. I bring the map.", ` +
	`"delivered_at": null, "status": "sent", "is_edited": false, "is_deleted": false}`

// missing as a value leaves the field out.
const missing = "\x00missing"

// with returns a valid payload whose fields are replaced, pairs of name and JSON
// value. A name that is not there is added at the end; so is one with a +, which
// makes a second member of the name.
func with(pairs ...string) string {
	members := [][2]string{
		{"client_message_id", `"m-1"`},
		{"chat_id", `"77"`},
		{"sender_id", `1`},
		{"recipient_id", `2`},
		{"sent_at", `"2025-12-16T20:19:31.123456Z"`},
		{"body", `"hello"`},
		{"status", `"sent"`},
	}
	for i := 0; i < len(pairs); i += 2 {
		name, value := pairs[i], pairs[i+1]
		at := -1
		for j := range members {
			if members[j][0] == name {
				at = j
			}
		}
		if at < 0 {
			members = append(members, [2]string{strings.TrimPrefix(name, "+"), value})
			continue
		}
		members[at][1] = value
	}
	var b strings.Builder
	b.WriteByte('{')
	for _, m := range members {
		if m[1] == missing {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + m[0] + `":` + m[1])
	}
	b.WriteByte('}')
	return b.String()
}

// outcome names what became of a payload.
func outcome(r *handlers.Rejection, f *handlers.Failure) string {
	switch {
	case f != nil:
		return "poisoned " + f.Code
	case r != nil:
		return "rejected " + r.Code
	default:
		return "accepted"
	}
}

// nested is a JSON value of this many arrays, one in the other.
func nested(depth int) string {
	return strings.Repeat("[", depth) + strings.Repeat("]", depth)
}

func quoted(s string) string { return `"` + s + `"` }

// padded is a valid payload of exactly this size.
func padded(size int) string {
	rest := size - len(with("x", `""`))
	return with("x", quoted(strings.Repeat("x", rest)))
}

func utf16Bytes(s string, bigEndian bool) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(s)) {
		high, low := byte(unit>>8), byte(unit)
		if bigEndian {
			b.Write([]byte{high, low})
		} else {
			b.Write([]byte{low, high})
		}
	}
	return b.String()
}
