package handlers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"chat-messaging/handlers"
)

// integers are JSON values and the ids that they are; 0 for those that are none.
var integers = []struct {
	name string
	json string
	want int64
}{
	{"a number", "7", 7},
	{"a numeric string", `"7"`, 7},
	{"a numeric string with an escape", `"\u0037"`, 7},
	{"the largest", "9223372036854775807", 1<<63 - 1},
	{"the largest as a string", `"9223372036854775807"`, 1<<63 - 1},
	{"2^53+1, which no float holds", "9007199254740993", 1<<53 + 1},
	{"2^53+1 as a float", "9007199254740993.0", 1<<53 + 1},
	{"2^53+1 with an exponent", "9.007199254740993e15", 1<<53 + 1},
	{"an integral float", "7.0", 7},
	{"many zeros behind the point", "7." + strings.Repeat("0", 1000), 7},
	{"exponent 0", "7e0", 7},
	{"exponent -0", "7E-0", 7},
	{"a thousand", "1e3", 1000},
	{"a thousand with a plus", "1E+3", 1000},
	{"an exponent with leading zeros", "1e0003", 1000},
	{"a fraction that the exponent undoes", "0.0012e4", 12},
	{"zeros that the exponent takes back", "70000e-4", 7},
	{"the largest power of ten", "1e18", 1_000_000_000_000_000_000},
	{"a long fraction that a large exponent undoes", "0." + strings.Repeat("0", 2000) + "1e2001", 1},
	{"zeros inside", "1002003.0e1", 10020030},

	{"0", "0", 0},
	{"0 as a string", `"0"`, 0},
	{"-0", "-0", 0},
	{"-1", "-1", 0},
	{"-1 as a string", `"-1"`, 0},
	{"0 with an exponent", "0e5", 0},
	{"0 with an enormous exponent", "0e999999999999999999999", 0},
	{"a fraction", "7.5", 0},
	{"a fraction by its exponent", "7e-1", 0},
	{"a fraction in the 20th digit", "7.0000000000000000001", 0},
	{"2^63", "9223372036854775808", 0},
	{"2^63 as a string", `"9223372036854775808"`, 0},
	{"2^63 as a float", "9223372036854775808.0", 0},
	{"2^64+7", "18446744073709551623", 0},
	{"1e19", "1e19", 0},
	{"1e400", "1e400", 0},
	{"1e999999999", "1e999999999", 0},
	{"an exponent of 10,000 digits", "1e" + strings.Repeat("9", 10_000), 0},
	{"a negative exponent of 10,000 digits", "1e-" + strings.Repeat("9", 10_000), 0},
	{"400 digits", strings.Repeat("7", 400), 0},
	{"400 digits as a string", `"` + strings.Repeat("7", 400) + `"`, 0},
	{"a space before", `" 7"`, 0},
	{"a space behind", `"7 "`, 0},
	{"a plus", `"+7"`, 0},
	{"a leading zero", `"07"`, 0},
	{"a float in a string", `"7.0"`, 0},
	{"an exponent in a string", `"7e0"`, 0},
	{"hexadecimal", `"0x7"`, 0},
	{"an underscore", `"1_000"`, 0},
	{"Arabic digits", `"٧"`, 0},
	{"fullwidth digits", `"７"`, 0},
	{"an escaped NUL behind", `"7\u0000"`, 0},
	{"half a surrogate pair behind", `"7\ud800"`, 0},
	{"an empty string", `""`, 0},
	{"a minus alone", `"-"`, 0},
	{"infinity", `"Infinity"`, 0},
	{"true", "true", 0},
	{"false", "false", 0},
	{"an array", "[7]", 0},
	{"an object", `{"7":7}`, 0},
}

func TestSenderIDNotations(t *testing.T) {
	t.Parallel()
	decoder := handlers.NewDecoder(handlers.Limits{})
	for _, tc := range integers {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m, rejection, failure := decoder.Decode([]byte(with("sender_id", tc.json)), "")
			if tc.want == 0 {
				assert.Equal(t, "poisoned bad_sender", outcome(rejection, failure))
				return
			}
			assert.Equal(t, "accepted", outcome(rejection, failure))
			assert.Equal(t, tc.want, m.SenderID)
		})
	}
	for _, payload := range []string{with("sender_id", missing), with("sender_id", "null")} {
		_, rejection, failure := decoder.Decode([]byte(payload), "")
		assert.Equal(t, "poisoned no_sender", outcome(rejection, failure))
	}
}

func TestRecipientIDNotations(t *testing.T) {
	t.Parallel()
	decoder := handlers.NewDecoder(handlers.Limits{})
	for _, tc := range append(integers, []struct {
		name string
		json string
		want int64
	}{{"missing", missing, 0}, {"null", "null", 0}}...) {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m, rejection, failure := decoder.Decode([]byte(with("sender_id", "5", "recipient_id", tc.json)), "")
			assert.Equal(t, tc.want, m.RecipientID)
			assert.Equal(t, int64(5), m.SenderID)
			if tc.want == 0 {
				assert.Equal(t, "rejected invalid_message", outcome(rejection, failure))
				assert.Equal(t, handlers.FieldRecipientID, m.Unread)
				return
			}
			assert.Equal(t, "accepted", outcome(rejection, failure))
		})
	}
}

// The exponent is only text. Were it ever carried out, this would not end.
func TestEnormousExponentsCostNothing(t *testing.T) {
	t.Parallel()
	decoder := handlers.NewDecoder(handlers.Limits{})
	start := time.Now()
	for _, exponent := range []string{"999999999", "-999999999", strings.Repeat("9", 200_000)} {
		_, rejection, failure := decoder.Decode([]byte(with("sender_id", "1e"+exponent)), "")
		assert.Equal(t, "poisoned bad_sender", outcome(rejection, failure))
	}
	assert.Less(t, time.Since(start), time.Second)
}
