package queries

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/lib/pq"
)

// PoisonFilter selects poisoned messages. The zero value selects all of them. What
// is in one field is an alternative, what is in several must all hold.
type PoisonFilter struct {
	Reasons []string      `json:"reason,omitempty"`
	Stages  []string      `json:"stage,omitempty"`
	States  []PoisonState `json:"state,omitempty"`
	Chat    string        `json:"chat,omitempty"`
	Sender  int64         `json:"sender,omitempty"`
	// Since and Until bound when the message was first seen: from, and before.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Contains is looked for in the first 16 KiB of the text, whatever its case.
	Contains string `json:"contains,omitempty"`
	// IDs and PoisonIDs name entries, by either of their ids.
	IDs       []int64     `json:"id,omitempty"`
	PoisonIDs []uuid.UUID `json:"poison_id,omitempty"`
	// Limit is the most entries to take: of a page, or of a job, whose oldest
	// they are. 0 is no limit for a job, and the default of a page.
	Limit int `json:"limit,omitempty"`
}

// PoisonFilterFields are the words of the filter language, in the order in which
// String writes them.
var PoisonFilterFields = []string{
	"reason", "stage", "state", "chat", "sender", "since", "until", "contains", "id", "limit",
}

// FilterError says what is wrong with a filter that somebody wrote.
type FilterError struct {
	Field  string
	Reason string
}

// Error implements error.
func (e *FilterError) Error() string { return e.Field + ": " + e.Reason }

const (
	maxFilterValues  = 1000
	maxContainsBytes = 256
	maxPageLimit     = 1000
	maxJobLimit      = 1 << 31
)

// ParsePoisonFilter reads a filter from its fields, as flags and parameters give
// them. The fields that hold a list (reason, stage, state, id) take several
// values, and commas in each. Since and until are times in RFC 3339, days
// (2026-01-31), or how long ago: 90s, 15m, 2h, 7d. An error is a *FilterError.
func ParsePoisonFilter(fields map[string][]string, now time.Time) (PoisonFilter, error) {
	var f PoisonFilter
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		values := nonEmpty(fields[field])
		if len(values) == 0 {
			continue
		}
		if len(values) > maxFilterValues {
			return f, &FilterError{field, fmt.Sprintf("more than %d values", maxFilterValues)}
		}
		if reason := f.set(field, values, now); reason != "" {
			return f, &FilterError{field, reason}
		}
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return f, &FilterError{"until", "not after since: nothing can match"}
	}
	return f, nil
}

// set sets a field and returns what is wrong, "" if nothing is.
func (f *PoisonFilter) set(field string, values []string, now time.Time) string {
	switch field {
	case "reason":
		f.Reasons = listed(values)
	case "stage":
		f.Stages = listed(values)
	case "state":
		return f.setStates(listed(values))
	case "id":
		return f.setIDs(listed(values))
	default:
		if len(values) > 1 {
			return "given more than once"
		}
		return f.setOne(field, values[0], now)
	}
	return ""
}

func (f *PoisonFilter) setOne(field, value string, now time.Time) (fault string) {
	switch field {
	case "chat":
		f.Chat = value
	case "sender":
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 1 {
			return "not the id of a user, which is a positive number"
		}
		f.Sender = n
	case "since":
		f.Since, fault = parseMoment(value, now)
	case "until":
		f.Until, fault = parseMoment(value, now)
	case "contains":
		if len(value) > maxContainsBytes || !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
			return fmt.Sprintf("not a text of at most %d bytes", maxContainsBytes)
		}
		f.Contains = value
	case "limit":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > maxJobLimit {
			return "not a positive number"
		}
		f.Limit = n
	default:
		return "no such field: there are " + strings.Join(PoisonFilterFields, ", ")
	}
	return fault
}

func (f *PoisonFilter) setStates(values []string) string {
	f.States = nil
	for _, value := range values {
		switch state := PoisonState(value); {
		case value == "any":
			f.States = slices.Clone(PoisonStates)
			return ""
		case slices.Contains(PoisonStates, state):
			f.States = append(f.States, state)
		default:
			return fmt.Sprintf("%.40q is none of waiting, replaying, replayed, discarded, any", value)
		}
	}
	return ""
}

func (f *PoisonFilter) setIDs(values []string) string {
	f.IDs, f.PoisonIDs = nil, nil
	for _, value := range values {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && n > 0 {
			f.IDs = append(f.IDs, n)
		} else if id, err := uuid.Parse(value); err == nil {
			f.PoisonIDs = append(f.PoisonIDs, id)
		} else {
			return fmt.Sprintf("%.40q is neither the number of an entry nor a poison id", value)
		}
	}
	return ""
}

// parseMoment reads a point in time.
func parseMoment(value string, now time.Time) (t time.Time, fault string) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.Parse(layout, value); err == nil {
			return t.UTC(), ""
		}
	}
	if days, ok := strings.CutSuffix(value, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.UTC().Add(-time.Duration(n) * 24 * time.Hour), ""
		}
	}
	if d, err := time.ParseDuration(value); err == nil && d >= 0 {
		return now.UTC().Add(-d), ""
	}
	return t, "neither a time such as 2026-01-31T15:04:05Z or 2026-01-31 nor how long ago, such as 15m, 2h or 7d"
}

// listed splits values at their commas.
func listed(values []string) []string {
	var all []string
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.TrimSpace(part); part != "" && !slices.Contains(all, part) {
				all = append(all, part)
			}
		}
	}
	return all
}

func nonEmpty(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(s string) bool { return strings.TrimSpace(s) == "" })
}

// Waiting returns the filter with its states replaced by the one that jobs work
// on.
func (f PoisonFilter) Waiting() PoisonFilter {
	f.States = []PoisonState{PoisonWaiting}
	return f
}

// IsGroup tells whether the filter selects whole groups, which are counted
// without looking at their entries.
func (f PoisonFilter) IsGroup() bool {
	return f.Chat == "" && f.Sender == 0 && f.Since.IsZero() && f.Until.IsZero() && f.Contains == "" &&
		len(f.IDs) == 0 && len(f.PoisonIDs) == 0
}

// poisonCondition is the filter but for its states, over the alias p. A
// parameter that is null drops out when the statement is planned, which is why it
// must not be prepared: a plan for any parameters fits none.
const poisonCondition = `
      ($1::text[] IS NULL OR p.code = ANY ($1))
  AND ($2::text[] IS NULL OR p.stage = ANY ($2))
  AND ($3::text IS NULL OR p.chat_id = $3)
  AND ($4::int8 IS NULL OR p.sender_id = $4)
  AND ($5::timestamptz IS NULL OR p.first_seen >= $5)
  AND ($6::timestamptz IS NULL OR p.first_seen < $6)
  AND ($7::text IS NULL OR strpos(p.body_search, $7) > 0)
  AND (($8::int8[] IS NULL AND $9::uuid[] IS NULL) OR p.id = ANY ($8) OR p.poison_id = ANY ($9))`

// args are the parameters of poisonCondition.
func (f PoisonFilter) args() []any {
	var poisonIDs []string
	for _, id := range f.PoisonIDs {
		poisonIDs = append(poisonIDs, id.String())
	}
	return []any{
		pq.Array(f.Reasons), pq.Array(f.Stages), nullIfZero(f.Chat), nullIfZero(f.Sender),
		nullTime(f.Since), nullTime(f.Until), nullIfZero(poisonSearch(f.Contains)),
		pq.Array(f.IDs), pq.Array(poisonIDs),
	}
}

// states are the states to look in; all of them if the filter names none.
func (f PoisonFilter) states() any {
	states := f.States
	if len(states) == 0 {
		states = PoisonStates
	}
	texts := make([]string, 0, len(states))
	for _, s := range states {
		texts = append(texts, string(s))
	}
	return pq.Array(texts)
}

func nullIfZero[T comparable](value T) any {
	var zero T
	if value == zero {
		return nil
	}
	return value
}

func nullTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

// selection is the filter as it is kept with jobs and in the audit.
func (f PoisonFilter) selection() string {
	text, _ := json.Marshal(f) // strings, numbers and times: cannot fail
	return string(text)
}

// pageLimit is the size of a page.
func (f PoisonFilter) pageLimit() int { return min(cmp.Or(f.Limit, 50), maxPageLimit) }
