package queries

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
)

// maxPoisonSearch bounds what contains looks at.
const maxPoisonSearch = 16 << 10

// searchText is what contains looks at: the body as it is, and without the escapes
// that hide most languages in JSON from a search. It need not be JSON.
func searchText(body []byte) string {
	text := string(body[:min(len(body), maxPoisonSearch)])
	if plain := unescape(text); plain != text {
		text += "\n" + plain
	}
	return poisonSearch(text)
}

// poisonSearch is the text as contains compares it.
func poisonSearch(text string) string { return strings.ToLower(storable(text)) }

// storable is the text without what Postgres refuses in one.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// escapes are runs of \uXXXX: a run, because a character may take two of them.
var escapes = regexp.MustCompile(`(?:\\u[0-9a-fA-F]{4})+`)

func unescape(text string) string {
	return escapes.ReplaceAllStringFunc(text, func(run string) string {
		var units []uint16
		for i := 2; i+4 <= len(run); i += 6 {
			unit, _ := strconv.ParseUint(run[i:i+4], 16, 16) // the pattern has made sure
			units = append(units, uint16(unit))
		}
		return string(utf16.Decode(units))
	})
}
