package handlers

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// eventJSON is an event as it stands on the wire. Every field is always written,
// in this order; zero values of the types below are null, and so is a Seq of 0.
type eventJSON struct {
	ID              nullableText `json:"id"`
	ClientMessageID nullableText `json:"client_message_id"`
	ChatID          nullableText `json:"chat_id"`
	SenderID        int64        `json:"sender_id"`
	RecipientID     int64        `json:"recipient_id"`
	SentAt          nullableText `json:"sent_at"`
	Body            nullableText `json:"body"`
	Status          string       `json:"status"`
	DeliveredAt     string       `json:"delivered_at"`
	IsEdited        bool         `json:"is_edited"`
	IsDeleted       bool         `json:"is_deleted"`
	RejectReason    nullableText `json:"reject_reason"`
	RejectCode      nullableText `json:"reject_code"`
	Seq             int64        `json:"seq"`
}

// payload writes the event. It does so without reflection, which for something
// that happens once a message would cost more than the rest of the handler.
func (e *eventJSON) payload() ([]byte, error) {
	w := objectWriter{b: make([]byte, 0, e.size()), separator: '{'}
	w.nullableText("id", e.ID)
	w.nullableText("client_message_id", e.ClientMessageID)
	w.nullableText("chat_id", e.ChatID)
	w.integer("sender_id", e.SenderID)
	w.integer("recipient_id", e.RecipientID)
	w.nullableText("sent_at", e.SentAt)
	w.nullableText("body", e.Body)
	w.text("status", e.Status)
	w.text("delivered_at", e.DeliveredAt)
	w.boolean("is_edited", e.IsEdited)
	w.boolean("is_deleted", e.IsDeleted)
	w.nullableText("reject_reason", e.RejectReason)
	w.nullableText("reject_code", e.RejectCode)
	if e.Seq > 0 {
		w.integer("seq", e.Seq)
	} else {
		w.null("seq")
	}
	return append(w.b, '}'), w.err
}

// size is about how much room the event takes.
func (e *eventJSON) size() int {
	const namesAndNumbers = 400
	texts := len(e.ClientMessageID.text) + len(e.SentAt.text) + len(e.Body.text) + len(e.RejectReason.text)
	return namesAndNumbers + texts + texts/16 // a few characters need escaping
}

// parseEvent reads what payload writes. Members that a later version adds are
// ignored. That each value is one that we write is for the caller to check, by
// writing what it made of them again.
func parseEvent(payload []byte) (*eventJSON, time.Time, error) {
	e := &eventJSON{}
	if err := json.Unmarshal(payload, e); err != nil {
		return nil, time.Time{}, fmt.Errorf("parsing the JSON: %w", err)
	}
	if e.SenderID <= 0 || e.RecipientID < 0 || e.Seq < 0 {
		return nil, time.Time{}, errors.New("sender_id, recipient_id or seq is not positive")
	}
	at, err := time.Parse(wireTime, e.DeliveredAt)
	if err != nil {
		return nil, time.Time{}, errors.New("delivered_at is missing or of another format")
	}
	return e, at, nil
}

// nullableText is a JSON string or, if not present, null.
type nullableText struct {
	text    string
	present bool
}

func text(s string) nullableText { return nullableText{s, true} }

// UnmarshalJSON implements json.Unmarshaler.
func (t *nullableText) UnmarshalJSON(value []byte) error {
	*t = nullableText{}
	if jsontext.Value(value).Kind() == jsontext.KindNull {
		return nil
	}
	if err := json.Unmarshal(value, &t.text); err != nil {
		return err
	}
	t.present = true
	return nil
}

// wireTime is the format of delivered_at: UTC, always with microseconds.
const wireTime = "2006-01-02T15:04:05.000000Z"

// formatWireTime is t.UTC().Format(wireTime), for years 0 to 9999, at a third of
// its cost: time has a fast path for RFC 3339, but that drops trailing zeros, so
// it gets a nanosecond that keeps them and is cut off again.
func formatWireTime(t time.Time) string {
	const toMicroseconds = len(wireTime) - len("Z")
	var onStack [len(time.RFC3339Nano)]byte
	b := onTheWire(t).Add(time.Nanosecond).AppendFormat(onStack[:0], time.RFC3339Nano)
	return string(append(b[:toMicroseconds], 'Z'))
}

// onTheWire is the time as an event can carry it.
func onTheWire(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// objectWriter writes the members of one JSON object.
type objectWriter struct {
	b         []byte
	separator byte
	err       error
}

func (w *objectWriter) name(name string) {
	w.b = append(w.b, w.separator, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
	w.separator = ','
}

func (w *objectWriter) null(name string) {
	w.name(name)
	w.b = append(w.b, "null"...)
}

func (w *objectWriter) text(name, value string) {
	w.name(name)
	var err error
	if w.b, err = jsontext.AppendQuote(w.b, value); err != nil {
		w.err = fmt.Errorf("writing %s: %w", name, err)
	}
}

func (w *objectWriter) nullableText(name string, value nullableText) {
	if value.present {
		w.text(name, value.text)
	} else {
		w.null(name)
	}
}

func (w *objectWriter) integer(name string, value int64) {
	w.name(name)
	w.b = strconv.AppendInt(w.b, value, 10)
}

func (w *objectWriter) boolean(name string, value bool) {
	w.name(name)
	w.b = strconv.AppendBool(w.b, value)
}
