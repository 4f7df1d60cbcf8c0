package crash

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// event is what the wire contract promises of an event, but for delivered_at,
// which a rejection that is decided again has anew.
type event struct {
	ID              *string `json:"id"`
	ClientMessageID string  `json:"client_message_id"`
	ChatID          string  `json:"chat_id"`
	SenderID        int64   `json:"sender_id"`
	RecipientID     int64   `json:"recipient_id"`
	SentAt          string  `json:"sent_at"`
	Body            string  `json:"body"`
	Status          string  `json:"status"`
	RejectCode      *string `json:"reject_code"`
	Seq             int64   `json:"seq"`
}

// dispatch is all that was recorded of one event id.
type dispatch struct {
	event
	routingKey string
	body       [sha256.Size]byte
	// fresh is how often it was dispatched, as far as the broker can tell: what
	// came again because the recorder died is not counted.
	fresh int
	// again is how often it came because the recorder died.
	again int
	// index is how many other events had come before it, and farthest how many had
	// come between it and its last dispatch.
	index, farthest int
}

// recording reads what a recorder has written, while it writes. Safe for
// concurrent use.
type recording struct {
	path string

	mu     sync.Mutex
	offset int64
	byID   map[string]*dispatch
	order  []*dispatch // by their first occurrence
	odd    []string    // what must never be recorded
}

func newRecording(path string) *recording {
	return &recording{path: path, byID: map[string]*dispatch{}}
}

// read takes in what was written since the last time, and returns how many
// different events there are.
func (r *recording) read() (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	file, err := os.Open(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil // the recorder has not begun
	}
	if err != nil {
		return 0, fmt.Errorf("reading the recording: %w", err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(r.offset, io.SeekStart); err != nil {
		return 0, fmt.Errorf("reading the recording: %w", err)
	}
	lines := bufio.NewReaderSize(file, 1<<16)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return len(r.order), nil // the last line may still be growing
		}
		if err != nil {
			return 0, fmt.Errorf("reading the recording: %w", err)
		}
		r.offset += int64(len(line))
		if err := r.take(line); err != nil {
			return 0, err
		}
	}
}

// take takes in one line.
func (r *recording) take(line []byte) error {
	var got recorded
	if err := json.Unmarshal(line, &got); err != nil {
		return fmt.Errorf("reading the recording: %w", err)
	}
	r.takeIn(got)
	return nil
}

func (r *recording) takeIn(got recorded) {
	d := &dispatch{routingKey: got.RoutingKey, body: sha256.Sum256(got.Body)}
	if err := json.Unmarshal(got.Body, &d.event); err != nil || got.ID == "" {
		r.odd = append(r.odd, fmt.Sprintf("an event that is none: id %q, %.100q", got.ID, got.Body))
		return
	}
	first, known := r.byID[got.ID]
	if !known {
		first = d
		d.index = len(r.order)
		r.byID[got.ID] = d
		r.order = append(r.order, d)
	}
	if !d.sameAs(first) {
		r.odd = append(r.odd, fmt.Sprintf("event %s was dispatched as two: %+v and %+v", got.ID, first.event, d.event))
	}
	if got.Redelivered && known {
		first.again++
	} else {
		first.fresh++
		first.farthest = len(r.order) - 1 - first.index
	}
}

// sameAs tells whether two dispatches are of one event. A delivered one is the
// same to the byte.
func (d *dispatch) sameAs(o *dispatch) bool {
	if d.Status == statusDelivered {
		return d.body == o.body && d.routingKey == o.routingKey
	}
	return d.ClientMessageID == o.ClientMessageID && d.ChatID == o.ChatID && d.Body == o.Body && d.code() == o.code() &&
		d.routingKey == o.routingKey
}

// code is the rejection's, and empty if there is none.
func (e *event) code() string {
	if e.RejectCode == nil {
		return ""
	}
	return *e.RejectCode
}

// The statuses of the wire contract.
const (
	statusDelivered = "delivered"
	statusRejected  = "rejected"
)

// add takes in deliveries that nobody had recorded.
func (r *recording) add(deliveries []amqp.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range deliveries {
		r.takeIn(record(d))
	}
}
