package pipeline

import (
	"sync"

	"chat-messaging/queries"
)

// offer is rows that this process has just committed. The relay takes them without
// a read where it can prove that it would have read just these: they follow the highest
// row that it knows directly, so no other transaction has drawn an id in between. At
// the first gap it reads, and it may do so at any time: each row is in the outbox too.
type offer struct {
	mu     sync.Mutex
	open   bool // somebody takes them
	rows   []queries.OutboxRow
	events int
}

// put adds rows, if that makes no more than limit events.
func (o *offer) put(rows []queries.OutboxRow, limit int) {
	events := eventsOf(rows)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open && o.events+events <= limit {
		o.rows, o.events = append(o.rows, rows...), o.events+events
	}
}

// take returns the rows that follow the row seen, which nobody may have read yet, and
// whether more of them wait. It forgets what was before.
func (o *offer) take(seen int64) (rows []queries.OutboxRow, more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	first := 0
	for first < len(o.rows) && o.rows[first].ID <= seen {
		first++
	}
	end := first
	for end < len(o.rows) && o.rows[end].ID == seen+1 {
		seen++
		end++
	}
	rows = o.rows[first:end:end]
	o.events -= eventsOf(o.rows[:end])
	if o.rows = o.rows[end:]; len(o.rows) == 0 {
		o.rows = nil
	}
	return rows, len(o.rows) > 0
}

// begin forgets all, and takes rows from now on.
func (o *offer) begin() { o.reset(true) }

// end forgets all, and takes no more: another relay may dispatch them meanwhile.
func (o *offer) end() { o.reset(false) }

func (o *offer) reset(open bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open, o.rows, o.events = open, nil, 0
}

func eventsOf(rows []queries.OutboxRow) int {
	events := 0
	for i := range rows {
		events += len(rows[i].Events)
	}
	return events
}
