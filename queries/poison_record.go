package queries

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/google/uuid"
)

// poisonRecord is an entry as one line of an export has it. A body that is text
// is written as text, any other in base64; both are exact.
type poisonRecord struct {
	Poisoned
	Properties       json.RawMessage `json:"properties"`
	Headers          json.RawMessage `json:"headers"`
	Body             *string         `json:"body,omitempty"`
	BodyBase64       []byte          `json:"body_base64,omitempty"`
	EditedBody       *string         `json:"edited_body,omitempty"`
	EditedBodyBase64 []byte          `json:"edited_body_base64,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (m PoisonedMessage) MarshalJSON() ([]byte, error) {
	r := poisonRecord{Poisoned: m.Poisoned, Properties: m.Properties, Headers: m.Headers}
	r.Body, r.BodyBase64 = textOrBytes(m.Body)
	if m.EditedAt != nil {
		r.EditedBody, r.EditedBodyBase64 = textOrBytes(m.EditedBody)
	}
	return json.Marshal(r)
}

// textOrBytes returns the body in the one form in which JSON keeps it exactly.
func textOrBytes(body []byte) (*string, []byte) {
	if !utf8.Valid(body) {
		return nil, body
	}
	text := string(body)
	return &text, nil
}

// UnmarshalJSON implements json.Unmarshaler. It refuses what could not be an
// entry, so that an import adds nothing that a replay would choke on.
func (m *PoisonedMessage) UnmarshalJSON(line []byte) error {
	var r poisonRecord
	if err := json.Unmarshal(line, &r); err != nil {
		return err
	}
	*m = PoisonedMessage{Poisoned: r.Poisoned, Properties: r.Properties, Headers: r.Headers, Body: r.BodyBase64}
	if r.Body != nil {
		m.Body = []byte(*r.Body)
	}
	m.Body = nonNil(m.Body)
	m.BodyBytes = len(m.Body)
	if m.EditedAt != nil {
		m.EditedBody = r.EditedBodyBase64
		if r.EditedBody != nil {
			m.EditedBody = []byte(*r.EditedBody)
		}
		m.EditedBody = nonNil(m.EditedBody)
	}
	return r.check()
}

func (r *poisonRecord) check() error {
	isSettled := r.State == PoisonReplayed || r.State == PoisonDiscarded
	var errs []error
	for _, c := range []struct {
		wrong bool
		what  string
	}{
		{r.PoisonID == uuid.Nil, "poison_id is missing"},
		{!slices.Contains(PoisonStates, r.State), fmt.Sprintf("%.40q is no state", r.State)},
		{isSettled != (r.SettledAt != nil), "settled_at does not fit the state"},
		{r.Code == "", "reason is missing"},
		{r.FirstSeen.IsZero() || r.LastSeen.IsZero(), "first_seen and last_seen are required"},
		{r.Attempts < 0 || r.Returned < 0 || r.Returned > r.Attempts, "attempts and returned do not fit"},
		{(r.Body != nil) == (r.BodyBase64 != nil), "one of body and body_base64 is required"},
		{!isObject(r.Properties) || !isObject(r.Headers), "properties and headers must be objects"},
	} {
		if c.wrong {
			errs = append(errs, errors.New(c.what))
		}
	}
	return errors.Join(errs...)
}

func isObject(text json.RawMessage) bool {
	var fields map[string]json.RawMessage
	return json.Unmarshal(text, &fields) == nil && fields != nil
}
