package handlers_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"chat-messaging/handlers"
)

func TestSentAtNotations(t *testing.T) {
	t.Parallel()
	decoder := handlers.NewDecoder(handlers.Limits{})
	for text, valid := range map[string]bool{
		"2025-12-16T20:19:31.123456Z":          true, // the gateway's
		"2025-12-16T20:19:31Z":                 true,
		"2025-12-16T20:19:31.1Z":               true,
		"2025-12-16T20:19:31.123Z":             true,
		"2025-12-16T20:19:31.123456789Z":       true,
		"2025-12-16T20:19:31+02:00":            false,
		"2025-12-16T20:19:31.5-23:59":          false,
		"2025-12-16T20:19:31-00:00":            false,
		"1970-01-01T00:00:00Z":                 true,
		"2100-12-31T23:59:59.999999Z":          true,
		"0001-01-01T00:00:00Z":                 true,
		"9999-12-31T23:59:59.999999999Z":       true,
		"2024-02-29T12:00:00Z":                 true,
		"2000-02-29T12:00:00Z":                 true,
		"2025-02-29T12:00:00Z":                 false,
		"1900-02-29T12:00:00Z":                 false,
		"2025-02-30T12:00:00Z":                 false,
		"2025-04-31T12:00:00Z":                 false,
		"2025-13-01T12:00:00Z":                 false,
		"2025-00-01T12:00:00Z":                 false,
		"2025-01-00T12:00:00Z":                 false,
		"2025-12-16T24:00:00Z":                 false,
		"2025-12-16T20:60:00Z":                 false,
		"2025-12-16T23:59:60Z":                 false,
		"0000-01-01T00:00:00Z":                 false,
		"10000-01-01T00:00:00Z":                false,
		"+2025-12-16T20:19:31Z":                false,
		"-2025-12-16T20:19:31Z":                false,
		"2025-12-16T20:19:31":                  false,
		"2025-12-16T20:19:31.123456":           false,
		"2025-12-16T20:19:31.Z":                false,
		"2025-12-16T20:19:31.1234567890Z":      false,
		"2025-12-16T20:19:31,123456Z":          false,
		"2025-12-16T20:19:31.12 Z":             false,
		"2025-12-16t20:19:31Z":                 false,
		"2025-12-16T20:19:31z":                 false,
		"2025-12-16 20:19:31Z":                 false,
		"2025-12-16T20:19:31+24:00":            false,
		"2025-12-16T20:19:31+02:60":            false,
		"2025-12-16T20:19:31+0200":             false,
		"2025-12-16T20:19:31+02":               false,
		"2025-12-16T20:19:31+2:00":             false,
		"2025-12-16T20:19:31Z+02:00":           false,
		"2025-12-16T20:19:31ZZ":                false,
		" 2025-12-16T20:19:31Z":                false,
		"2025-12-16T20:19:31Z ":                false,
		"2025-12-16T2:19:31Z":                  false,
		"2025-12-1T20:19:31Z":                  false,
		"25-12-16T20:19:31Z":                   false,
		"2025-12-16T20:19Z":                    false,
		"2025-12-16":                           false,
		"20251216T201931Z":                     false,
		"２０２５-12-16T20:19:31Z":                 false,
		"Tue, 16 Dec 2025 20:19:31 GMT":        false,
		"1765916371":                           false,
		"infinity":                             false,
		"now":                                  false,
		"":                                     false,
		"2025-12-16T20:19:31." + nines(10_000): false,
	} {
		_, rejection, failure := decoder.Decode([]byte(with("sent_at", quoted(text))), "")
		want := "rejected invalid_sent_at"
		if valid {
			want = "accepted"
		}
		assert.Equal(t, want, outcome(rejection, failure), "%.60q", text)
	}
}

func TestSentAtOfOtherTypes(t *testing.T) {
	t.Parallel()
	decoder := handlers.NewDecoder(handlers.Limits{})
	for json, want := range map[string]string{
		missing:                        "rejected invalid_sent_at",
		"null":                         "rejected invalid_sent_at",
		"1765916371":                   "rejected invalid_sent_at",
		"{}":                           "rejected invalid_sent_at",
		`"2025-12-16T20:19:31\u005a"`:  "accepted",
		`"2025-12-16T20:19:31Z\u0000"`: "rejected invalid_message",
		`"2025-12-16T20:19:31Z\ud800"`: "rejected invalid_message",
	} {
		_, rejection, failure := decoder.Decode([]byte(with("sent_at", json)), "")
		assert.Equal(t, want, outcome(rejection, failure), json)
	}
}

func nines(n int) string { return strings.Repeat("9", n) }
