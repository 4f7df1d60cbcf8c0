package middleware

import (
	"errors"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Deduplicator is for the consumers of events: it drops an event whose id it
// has already handled. The pipeline publishes an event again, under its old id,
// when it cannot know whether the broker had it (a crash between the confirm and
// the delete, a lost confirm) and when a client sends the same message again.
//
// An id counts as handled once the handler has returned without an error, never
// before: a failed event comes back and must not be dropped then. Two deliveries
// of one id at the same time are handled one after the other. It remembers the
// last Window ids in memory, so it covers everything but its own restart; a
// consumer that must cover that too keeps the ids where it keeps its effects.
//
// Safe for concurrent use.
type Deduplicator struct {
	onDuplicate func(*message.Message)

	mu      sync.Mutex
	handled map[string]struct{}
	order   []string // ring of the handled ids, oldest at next
	next    int
	working map[string]chan struct{}
}

// NewDeduplicator remembers window ids; onDuplicate, which may be nil, is
// called for each event that is dropped.
func NewDeduplicator(window int, onDuplicate func(*message.Message)) (*Deduplicator, error) {
	if window < 1 {
		return nil, errors.New("the window of a deduplicator must be at least 1")
	}
	if onDuplicate == nil {
		onDuplicate = func(*message.Message) {}
	}
	return &Deduplicator{
		onDuplicate: onDuplicate,
		handled:     make(map[string]struct{}, window),
		order:       make([]string, window),
		working:     map[string]chan struct{}{},
	}, nil
}

// Middleware implements message.HandlerMiddleware. A message without an id is
// always handled.
func (d *Deduplicator) Middleware(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		if msg.UUID == "" {
			return next(msg)
		}
		if !d.begin(msg.UUID) {
			d.onDuplicate(msg)
			return nil, nil
		}
		ok := false
		// In a defer, so that a panic gives the id back too.
		defer func() { d.end(msg.UUID, ok) }()
		produced, err := next(msg)
		ok = err == nil
		return produced, err
	}
}

// begin claims the id; false if it has been handled.
func (d *Deduplicator) begin(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		if _, ok := d.handled[id]; ok {
			return false
		}
		busy, ok := d.working[id]
		if !ok {
			d.working[id] = make(chan struct{})
			return true
		}
		d.mu.Unlock()
		<-busy
		d.mu.Lock()
	}
}

func (d *Deduplicator) end(id string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.working[id])
	delete(d.working, id)
	if !ok {
		return
	}
	if oldest := d.order[d.next]; oldest != "" {
		delete(d.handled, oldest)
	}
	d.order[d.next] = id
	d.next = (d.next + 1) % len(d.order)
	d.handled[id] = struct{}{}
}
