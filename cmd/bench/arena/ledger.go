package arena

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
)

// Ledger knows what must become of each message of a workload, and strikes off
// what has. It serves one goroutine.
type Ledger struct {
	ordered  bool
	entries  map[uuid.UUID]*entry
	last     map[string]int64 // position by chat
	events   int              // expected in all
	accepted int
	poisoned int
	seen     int
	parked   int
}

// entry is what one key still expects.
type entry struct {
	outcome Outcome
	code    string
	events  int    // to come
	first   string // id of the event, once it has come
}

// NewLedger opens the ledger of a workload. Ordered says that the events of a
// chat must come in the order of its positions.
func NewLedger(w Workload, ordered bool) *Ledger {
	l := &Ledger{ordered: ordered, entries: make(map[uuid.UUID]*entry, w.Count), last: map[string]int64{}}
	for m := range w.Messages() {
		e := l.entries[m.Key]
		if e == nil {
			e = &entry{outcome: m.Outcome, code: m.Code}
			l.entries[m.Key] = e
		}
		switch m.Outcome {
		case Poisoned:
			l.poisoned++
			continue
		case Accepted:
			l.accepted++
		}
		e.events++
		l.events++
	}
	return l
}

// Events is how many events come of the workload.
func (l *Ledger) Events() int { return l.events }

// Accepted is how many messages must be stored.
func (l *Ledger) Accepted() int { return l.accepted }

// Poisoned is how many messages must be in the poison queue.
func (l *Ledger) Poisoned() int { return l.poisoned }

// event is what the ledger reads of an event.
type event struct {
	ClientMessageID uuid.UUID `json:"client_message_id"`
	ChatID          string    `json:"chat_id"`
	Seq             int64     `json:"seq"`
	RejectReason    *string   `json:"reject_reason"`
	RejectCode      *string   `json:"reject_code"`
}

// Event strikes an event off, and returns the key of its message.
func (l *Ledger) Event(d amqp.Delivery) (uuid.UUID, error) {
	var got event
	if err := json.Unmarshal(d.Body, &got); err != nil {
		return uuid.Nil, fmt.Errorf("reading an event: %w", err)
	}
	key := got.ClientMessageID
	e := l.entries[key]
	if e == nil || e.events == 0 {
		return key, fmt.Errorf("the event of message %s is not expected, or not again", key)
	}
	e.events--
	l.seen++
	if e.outcome == Rejected {
		if got.RejectCode == nil || *got.RejectCode != e.code {
			return key, fmt.Errorf("message %s must be rejected as %s: its event is %s", key, e.code, d.Body)
		}
		return key, nil
	}
	if got.RejectReason != nil {
		return key, fmt.Errorf("message %s was rejected: %s", key, *got.RejectReason)
	}
	if e.first != "" {
		if d.MessageId != e.first {
			return key, fmt.Errorf("message %s was answered with the events %s and %s", key, e.first, d.MessageId)
		}
		return key, nil
	}
	if e.events > 0 {
		e.first = d.MessageId
	}
	return key, l.follow(got)
}

// follow checks that the event is the next of its chat.
func (l *Ledger) follow(got event) error {
	if !l.ordered {
		return nil
	}
	last, known := l.last[got.ChatID]
	if got.Seq < 1 || known && got.Seq != last+1 {
		return fmt.Errorf("the event of position %d of chat %s came after that of position %d", got.Seq, got.ChatID, last)
	}
	l.last[got.ChatID] = got.Seq
	return nil
}

// errNotParked is about a message in the poison queue.
var errNotParked = errors.New("a message in the poison queue is not one that belongs there")

// Parked strikes a message off that is in the poison queue.
func (l *Ledger) Parked(d amqp.Delivery) error {
	// It cannot be decoded, but the key is somewhere in it.
	key, err := keyAfter(d.Body, `"client_message_id":"`)
	if err != nil {
		return errors.Join(errNotParked, err)
	}
	e := l.entries[key]
	if e == nil || e.outcome != Poisoned {
		return fmt.Errorf("message %s: %w", key, errNotParked)
	}
	delete(l.entries, key)
	l.parked++
	return nil
}

// keyAfter reads the key that stands behind the first occurrence of a text.
func keyAfter(payload []byte, text string) (uuid.UUID, error) {
	const length = len("00000000-0000-0000-0000-000000000000")
	_, rest, found := bytes.Cut(payload, []byte(text))
	if !found || len(rest) < length {
		return uuid.Nil, errors.New("it holds no key")
	}
	key, err := uuid.ParseBytes(rest[:length])
	if err != nil {
		return uuid.Nil, fmt.Errorf("reading its key: %w", err)
	}
	return key, nil
}

// Missing says what has not happened, nil if everything has.
func (l *Ledger) Missing() error {
	if l.seen == l.events && l.parked == l.poisoned {
		return nil
	}
	return fmt.Errorf("%d of %d events came out, %d of %d messages are in the poison queue",
		l.seen, l.events, l.parked, l.poisoned)
}
