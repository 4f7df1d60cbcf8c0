package handlers

import (
	"strings"
	"time"
)

// validTimestamp tells whether the text is a date and time of RFC 3339: upper-case
// T, then Z or an offset, a full stop before 1 to 9 fraction digits if there are
// any, years 0001 to 9999, no leap seconds. The gateway's format is one of them.
// time.Parse alone also takes a comma, one-digit hours, any number of digits and
// the year 0.
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
	if zone != "Z" && !validOffset(zone) {
		return false
	}
	_, err := time.Parse(time.RFC3339, text) // the calendar and the clock
	return err == nil
}

func validOffset(zone string) bool {
	return (hasShape(zone, "+dd:dd") || hasShape(zone, "-dd:dd")) &&
		zone[1:3] <= "23" && zone[4:6] <= "59"
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
