package queries

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
)

// ParsePoisonFilterText reads a filter as it is written in one line:
//
//	reason:malformed_json,no_sender chat:123 since:2h contains:"two words"
//
// Words without a field are what the message contains. An error is a
// *FilterError.
func ParsePoisonFilterText(line string, now time.Time) (PoisonFilter, error) {
	fields := map[string][]string{}
	var words []string
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimSpace(rest) {
		field, value, after, err := cutTerm(rest)
		if err != nil {
			return PoisonFilter{}, err
		}
		if field == "" {
			words = append(words, value)
		} else {
			fields[field] = append(fields[field], value)
		}
		rest = after
	}
	if len(words) > 0 {
		fields["contains"] = append(fields["contains"], strings.Join(words, " "))
	}
	return ParsePoisonFilter(fields, now)
}

// cutTerm cuts the first term off the line: field:value, or a value alone. A
// value in quotes may hold anything; a backslash in it takes the next character
// as it is.
func cutTerm(line string) (field, value, rest string, err error) {
	if name, after, ok := strings.Cut(line, ":"); ok && name != "" && strings.IndexFunc(name, isNoWord) < 0 {
		field, line = strings.ToLower(name), after
	}
	if !strings.HasPrefix(line, `"`) {
		end := strings.IndexFunc(line, unicode.IsSpace)
		if end < 0 {
			end = len(line)
		}
		return field, line[:end], line[end:], nil
	}
	var text strings.Builder
	for i := 1; i < len(line); i++ {
		switch line[i] {
		case '"':
			return field, text.String(), line[i+1:], nil
		case '\\':
			if i++; i < len(line) {
				text.WriteByte(line[i])
			}
		default:
			text.WriteByte(line[i])
		}
	}
	if field == "" {
		field = "contains"
	}
	return "", "", "", &FilterError{field, "a quotation mark is not closed"}
}

func isNoWord(r rune) bool { return !unicode.IsLetter(r) && r != '_' }

// String writes the filter in the language that ParsePoisonFilterText reads.
func (f PoisonFilter) String() string {
	fields := f.Fields()
	var terms []string
	for _, field := range PoisonFilterFields {
		for _, value := range fields[field] {
			if strings.ContainsAny(value, "\"\\") || strings.IndexFunc(value, unicode.IsSpace) >= 0 {
				value = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
			}
			terms = append(terms, field+":"+value)
		}
	}
	return strings.Join(terms, " ")
}

// Fields are the fields that are set, as ParsePoisonFilter reads them: one value
// each, lists with commas.
func (f PoisonFilter) Fields() map[string][]string {
	fields := map[string][]string{}
	add := func(field, value string) {
		if value != "" {
			fields[field] = []string{value}
		}
	}
	add("reason", strings.Join(f.Reasons, ","))
	add("stage", strings.Join(f.Stages, ","))
	add("state", joined(f.States, func(s PoisonState) string { return string(s) }))
	add("chat", f.Chat)
	if f.Sender != 0 {
		add("sender", strconv.FormatInt(f.Sender, 10))
	}
	if !f.Since.IsZero() {
		add("since", f.Since.Format(time.RFC3339Nano))
	}
	if !f.Until.IsZero() {
		add("until", f.Until.Format(time.RFC3339Nano))
	}
	add("contains", f.Contains)
	ids := joined(f.IDs, func(id int64) string { return strconv.FormatInt(id, 10) })
	poisonIDs := joined(f.PoisonIDs, uuid.UUID.String)
	add("id", strings.Trim(ids+","+poisonIDs, ","))
	if f.Limit > 0 {
		add("limit", strconv.Itoa(f.Limit))
	}
	return fields
}

func joined[T any](list []T, text func(T) string) string {
	texts := make([]string, 0, len(list))
	for _, one := range list {
		texts = append(texts, text(one))
	}
	return strings.Join(texts, ",")
}
