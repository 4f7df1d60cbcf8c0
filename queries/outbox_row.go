package queries

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq/oid"
)

// OutboxEvent is an event that waits for its dispatch.
type OutboxEvent struct {
	ID uuid.UUID
	// ChatID is 0 for a message that names no chat of ours.
	ChatID int64
	UserID int64
	// Name holds no tab and no line break.
	Name string
	// Payload is JSON. Line breaks between its values come back as spaces.
	Payload []byte
}

// OutboxRow is events that were committed together and leave in their order.
type OutboxRow struct {
	// ID rises in commit order within a chat, because the chat's lock is held
	// from before it is drawn until the commit; across chats it may not.
	ID        int64
	CreatedAt time.Time
	Events    []OutboxEvent
}

// maxRowBytes is how much of events goes into a row, unless a single one is
// larger: with the rest of the row it fits into a page. What does not is stored
// in pieces in another table, for twice the price.
const maxRowBytes = 8000

// outboxArrays are rows of the outbox on their way to the database.
type outboxArrays struct {
	sizes, events array
	text          []byte
}

func (a *outboxArrays) reset(events int) {
	a.sizes.reset(oid.T_int4, 1+events/8, 4)
	a.events.reset(oid.T_text, events, 600)
}

// row adds a row of the first of the events and as many of the others as make no
// more than limit bytes, and returns how many it has.
func (a *outboxArrays) row(events []OutboxEvent, limit int) (n int, err error) {
	a.text = a.text[:0]
	for i := range events {
		before := len(a.text)
		if a.text, err = appendOutboxEvent(a.text, &events[i]); err != nil {
			return 0, err
		}
		if n > 0 && len(a.text) > limit {
			a.text = a.text[:before]
			break
		}
		n++
	}
	a.sizes.int4(n)
	a.events.bytes(a.text)
	return n, nil
}

var errOutboxName = errors.New("a tab or a line break in the name of an event")

// appendOutboxEvent writes the line of an event: id, chat, user, name and payload
// behind tabs. The event then has the payload that will be read.
func appendOutboxEvent(b []byte, e *OutboxEvent) ([]byte, error) {
	if strings.ContainsAny(e.Name, "\t\n") {
		return b, fmt.Errorf("%w: %q", errOutboxName, e.Name)
	}
	b = hex.AppendEncode(b, e.ID[:])
	b = append(b, '\t')
	b = strconv.AppendInt(b, e.ChatID, 10)
	b = append(b, '\t')
	b = strconv.AppendInt(b, e.UserID, 10)
	b = append(b, '\t')
	b = append(b, e.Name...)
	b = append(b, '\t')
	e.Payload = oneLine(e.Payload)
	b = append(b, e.Payload...)
	return append(b, '\n'), nil
}

// oneLine returns JSON without line breaks: they can only stand between values, where
// spaces do too.
func oneLine(json []byte) []byte {
	if bytes.IndexByte(json, '\n') < 0 {
		return json
	}
	return bytes.ReplaceAll(json, []byte{'\n'}, []byte{' '})
}

// outboxNames are the names of events that a reading has met: there are two, so
// events share them.
type outboxNames []string

func (names *outboxNames) of(text []byte) string {
	for _, known := range *names {
		if known == string(text) {
			return known
		}
	}
	*names = append(*names, string(text))
	return (*names)[len(*names)-1]
}

// parseOutboxEvents returns the events of a row's lines. Their payloads are parts of
// text.
func parseOutboxEvents(text []byte, names *outboxNames) ([]OutboxEvent, error) {
	events := make([]OutboxEvent, 0, bytes.Count(text, []byte{'\n'}))
	for len(text) > 0 {
		line, rest, ended := bytes.Cut(text, []byte{'\n'})
		if !ended {
			return nil, errors.New("the last line of a row is cut off")
		}
		text = rest
		var e OutboxEvent
		if err := e.parse(line, names); err != nil {
			return nil, fmt.Errorf("event %d of a row: %w", len(events)+1, err)
		}
		events = append(events, e)
	}
	return events, nil
}

func (e *OutboxEvent) parse(line []byte, names *outboxNames) (err error) {
	var fields [4][]byte
	for i := range fields {
		var found bool
		if fields[i], line, found = bytes.Cut(line, []byte{'\t'}); !found {
			return fmt.Errorf("a line of %d fields", i+1)
		}
	}
	if e.ID, err = uuid.ParseBytes(fields[0]); err != nil {
		return fmt.Errorf("its id: %w", err)
	}
	if e.ChatID, err = strconv.ParseInt(string(fields[1]), 10, 64); err != nil {
		return fmt.Errorf("its chat: %w", err)
	}
	if e.UserID, err = strconv.ParseInt(string(fields[2]), 10, 64); err != nil {
		return fmt.Errorf("its user: %w", err)
	}
	e.Name, e.Payload = names.of(fields[3]), line
	return nil
}
