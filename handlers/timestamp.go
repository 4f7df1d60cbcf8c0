package handlers

import (
	"strings"
	"time"
)

// validTimestamp tells whether the text is a date and time as the gateway writes
// them, with 0 to 9 fraction digits: an upper-case T, a full stop before the
// fraction, an upper-case Z, years 0001 to 9999, no leap seconds. An offset is
// refused: clients sort by this text's date, and the gateway's Z stands for its
// own local time, so a true offset would not sort among the others. time.Parse
// alone also takes that, a comma, one-digit hours, any number of digits and the
// year 0.
func validTimestamp(text string) bool {
	const toSeconds = "2006-01-02T15:04:05"
	if len(text) <= len(toSeconds) || !hasShape(text[:len(toSeconds)], "dddd-dd-ddTdd:dd:dd") {
		return false
	}
	if strings.HasPrefix(text, "0000") {
		return false
	}
	zone := text[len(toSeconds):]
	if zone[0] == '.' {
		digits := zone[1:]
		zone = strings.TrimLeft(digits, "0123456789")
		if n := len(digits) - len(zone); n < 1 || n > 9 {
			return false
		}
	}
	if zone != "Z" {
		return false
	}
	_, err := time.Parse(time.RFC3339, text) // the calendar and the clock
	return err == nil
}

// hasShape compares byte by byte; d in the shape stands for any digit.
func hasShape(text, shape string) bool {
	if len(text) != len(shape) {
		return false
	}
	for i := range len(shape) {
		if shape[i] == 'd' {
			if text[i]-'0' > 9 {
				return false
			}
		} else if text[i] != shape[i] {
			return false
		}
	}
	return true
}
