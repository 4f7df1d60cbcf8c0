package middleware

import (
	"context"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Arrivals remembers the order in which messages arrived. A Watermill router
// starts a goroutine for each message, and the scheduler runs those in any
// order; so the subscriber issues a Ticket before it hands a message out, the
// message joins with its ticket when its goroutine gets that far, and the
// outbox takes the longest run of tickets from the front that are settled
// either way:
//
//	tickets   1        2      3       4        5
//	state     joined   left   joined  pending  joined
//	          └──────── taken ─────┘  └─ wait: 4 may still come before 5
//
// Safe for concurrent use.
type Arrivals struct {
	mu    sync.Mutex
	front *Ticket
	back  *Ticket
	ready chan struct{}
}

// NewArrivals returns an empty line.
func NewArrivals() *Arrivals {
	return &Arrivals{ready: make(chan struct{}, 1)}
}

type ticketState uint8

const (
	pending ticketState = iota
	joined
	left
)

// Ticket is a message's place in the line. Its holder either joins or leaves;
// the line stands still until one of them has happened.
type Ticket struct {
	arrivals *Arrivals
	next     *Ticket
	state    ticketState
	entry    *entry
}

// entry is a message that waits for its batch, with the members that it carries
// or, if it carries none, itself as the only one.
type entry struct {
	msg     *message.Message
	members []*message.Message
	errs    []error // the verdict of each member
	bytes   int     // of all payloads
	single  bool
	self    [1]*message.Message
	verdict chan error
	open    int // members without a verdict; the outbox's
}

// of makes the entry one for the message.
func (e *entry) of(msg *message.Message) {
	e.msg, e.members = msg, GroupFrom(msg.Context())
	if e.single = e.members == nil; e.single {
		e.self[0] = msg
		e.members = e.self[:]
	}
	e.errs = append(e.errs[:0], make([]error, len(e.members))...)
	e.bytes = 0
	for _, member := range e.members {
		e.bytes += len(member.Payload)
	}
}

// room is what still fits into a batch.
type room struct{ messages, bytes int }

// none tells that the batch is full.
func (r room) none() bool { return r.messages <= 0 || r.bytes <= 0 }

// less is the room that is left behind an entry.
func (r room) less(e *entry) room {
	return room{r.messages - len(e.members), r.bytes - e.bytes}
}

// settle tells the waiting goroutine what became of the members.
func (e *entry) settle() {
	e.verdict <- verdict(e.errs, e.single)
}

// forget drops what the entry must not keep alive until it is used again.
func (e *entry) forget() {
	clear(e.errs)
	e.msg, e.members, e.self[0] = nil, nil, nil
}

// Issue hands out the place behind everybody who has come so far.
func (a *Arrivals) Issue() *Ticket {
	t := &Ticket{arrivals: a}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.back == nil {
		a.front, a.back = t, t
	} else {
		a.back.next = t
		a.back = t
	}
	return t
}

// Leave gives the place up, so that those behind need not wait for it. After
// joining it does nothing, so whoever issued a ticket can always call it when
// the message is settled.
func (t *Ticket) Leave() {
	t.settle(left, nil)
}

// join puts the entry in the ticket's place; false if the place was given up.
func (t *Ticket) join(e *entry) bool {
	return t.settle(joined, e)
}

func (t *Ticket) settle(state ticketState, e *entry) bool {
	a := t.arrivals
	a.mu.Lock()
	defer a.mu.Unlock()
	if t.state != pending {
		return false
	}
	t.state, t.entry = state, e
	if t == a.front {
		select {
		case a.ready <- struct{}{}:
		default:
		}
	}
	return true
}

// take appends to run the entries at the front that are ready, as many as there
// is room for but at least one, and never waits. It returns how much room is
// left; none once the next entry did not fit.
func (a *Arrivals) take(run []*entry, space room) ([]*entry, room) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.front != nil && a.front.state != pending && !space.none() {
		if e := a.front.entry; a.front.state == joined {
			if len(run) > 0 && (len(e.members) > space.messages || e.bytes > space.bytes) {
				space = room{}
				break
			}
			run = append(run, e)
			space = space.less(e)
		}
		a.front = a.front.next
	}
	if a.front == nil {
		a.back = nil
	} else if a.front.state != pending {
		// The limit ended the run: the next call need not wait.
		select {
		case a.ready <- struct{}{}:
		default:
		}
	}
	return run, space
}

type ticketKey struct{}

// WithTicket returns a context that carries the ticket.
func WithTicket(ctx context.Context, t *Ticket) context.Context {
	return context.WithValue(ctx, ticketKey{}, t)
}

// TicketKey is the key under which a context carries its ticket, for a
// subscriber that has a context type of its own and wants to spare a wrapper
// for every message.
func TicketKey() any { return ticketKey{} }

// TicketFrom returns the context's ticket, nil if it has none.
func TicketFrom(ctx context.Context) *Ticket {
	t, _ := ctx.Value(ticketKey{}).(*Ticket)
	return t
}
