package pipeline

import (
	"sync"

	"chat-messaging/queries"
)

// offer is rows that this process has just committed. The relay takes them without
// a read where it can prove that it would have read just these: they follow the last
// row that it knows directly, so no other transaction has drawn an id in between. At
// the first gap it reads, and it may do so at any time: each row is in the outbox too.
type offer struct {
	mu     sync.Mutex
	rows   []queries.OutboxRow
	events int
}

// put adds rows, if that makes no more than limit events.
func (o *offer) put(rows []queries.OutboxRow, limit int) {
	events := eventsOf(rows)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.events+events > limit {
		return
	}
	o.rows, o.events = append(o.rows, rows...), o.events+events
}

// take returns rows that follow the row last, of no more than limit events or one
// row, and whether more of them wait. It forgets what was before.
func (o *offer) take(last int64, limit int) (rows []queries.OutboxRow, more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	first := 0
	for first < len(o.rows) && o.rows[first].ID <= last {
		first++
	}
	end, events := first, 0
	for end < len(o.rows) && o.rows[end].ID == last+1 {
		n := len(o.rows[end].Events)
		if end > first && events+n > limit {
			break
		}
		events += n
		last++
		end++
	}
	rows = o.rows[first:end:end]
	o.events -= eventsOf(o.rows[:end])
	if o.rows = o.rows[end:]; len(o.rows) == 0 {
		o.rows = nil
	}
	return rows, len(o.rows) > 0
}

// clear forgets all.
func (o *offer) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rows, o.events = nil, 0
}

func eventsOf(rows []queries.OutboxRow) int {
	events := 0
	for i := range rows {
		events += len(rows[i].Events)
	}
	return events
}
