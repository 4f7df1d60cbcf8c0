package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"chat-messaging/middleware/failpoint"
	"chat-messaging/queries"
)

// leader is a relay at work: what it knows of the outbox between two reads.
type leader struct {
	*Relay
	outbox *queries.Outbox
	// last is the id behind which the next read starts.
	last int64
	// seen is the highest id that this leader has met.
	seen int64
	// doneAt is when the first row was done of those that are not deleted yet, and
	// doneEvents how many events they had.
	doneAt     time.Time
	doneEvents int
	// perRow is how many events the rows of the last read had.
	perRow int
	// swept is when a read last started from the beginning.
	swept time.Time
	// held are the chats whose next event the broker refused. They wait, each
	// with its own growing pause, and the others go on.
	held map[int64]*hold
	// flights are the windows that are on their way, in the order of their events.
	flights []*flight
	// refused are the chats of which an event is to go out again, until all that
	// was on its way then is settled; nil if there is none.
	refused map[int64]bool
	// empty: the last read found nothing, and nothing was on its way.
	empty bool
	// progress: a read found nothing, or a window was settled.
	progress bool
	// pauses is how long everything waits after the broker was lost or no queue
	// took an event.
	pauses  *backoff.ExponentialBackOff
	resting time.Duration
}

// hold is a chat that waits.
type hold struct {
	until  time.Time
	pauses *backoff.ExponentialBackOff
	// released: it has waited long enough, and the first of its events goes with
	// the next read that finds it. The first alone: of several the broker might
	// refuse one again and take the next. Once that one is confirmed the one behind
	// it goes, and with the last of them the chat is held no longer.
	released bool
	// more: in the round under way there are events behind the one that goes.
	more bool
}

// round reads once and publishes what may go, behind what is on its way already.
// It returns whether there may be more to read. An error means that the session is
// lost.
//
// The broker is kept busy while rows are read and deleted. It would otherwise have
// nothing to do in between, and the next events would wait for its last confirm:
//
//	read 1 ▸ send 1 ─────────▸ confirms 1 ┐
//	         read 2 ▸ send 2 ─────────▸ confirms 2 ┐
//	                          delete 1, read 3 ▸ send 3 …
func (l *leader) round(ctx context.Context) (more bool, err error) {
	if now := time.Now(); l.release(now) || now.Sub(l.swept) >= l.cfg.Sweep {
		l.swept = now
		l.rewind()
	}
	if err := l.makeRoom(); err != nil || l.resting > 0 {
		return false, err
	}
	rows, more, err := l.read(ctx)
	if err != nil || ctx.Err() != nil {
		return false, err
	}
	if len(rows) == 0 {
		if l.last == 0 { // nothing is left that could be held
			clear(l.held)
			l.setErr(nil)
		}
		l.last = l.seen
		l.progress, l.empty = true, len(l.flights) == 0
		return false, nil
	}
	failpoint.Hit(failpoint.RelayAfterSelect)
	l.last = rows[len(rows)-1].ID
	l.seen = max(l.seen, l.last)
	if departures := l.sendable(rows); len(departures) > 0 {
		l.launch(ctx, departures)
	}
	return more, l.deleteLate(ctx)
}

// read takes what is offered, or else reads, with which what is done is deleted. It
// returns rows of together no more events than may go at a time, or one row, and
// whether there may be more. How many rows that are is known behind the read, so it
// asks for as many as it would have been of those before.
func (l *leader) read(ctx context.Context) (rows []queries.OutboxRow, more bool, err error) {
	limit := l.limit()
	// What is published and not deleted would go out again if the service died, so it
	// is as bounded as what is under way: a read would delete first.
	// Rows below the highest are read too: those that were offered may be gone by now.
	if l.last > 0 && l.last == l.seen && l.underWay()+l.undeleted()+limit <= l.cfg.Batch {
		if rows, more = l.offer.take(l.seen); len(rows) > 0 {
			return rows, more, nil
		}
	}
	asked := max(limit/max(l.perRow, 1), 1)
	pending := l.outbox.Pending()
	// A read that is broken off costs the session, and with it the chance to delete
	// what is on its way.
	finish, end := outlive(ctx)
	defer end()
	if rows, err = l.outbox.Read(finish, l.last, asked); err != nil {
		return nil, false, err
	}
	if pending {
		failpoint.Hit(failpoint.RelayAfterMark)
	}
	if len(rows) == 0 {
		return nil, false, nil
	}
	more = len(rows) == asked
	events := 0
	for i := range rows {
		n := len(rows[i].Events)
		if i > 0 && events+n > limit {
			rows, more = rows[:i], true
			break
		}
		events += n
	}
	l.perRow = events / len(rows)
	return rows, more, nil
}

// undeleted is how many events are done whose rows are still there.
func (l *leader) undeleted() int {
	if !l.outbox.Pending() {
		l.doneEvents = 0
	}
	return l.doneEvents
}

// deleteLate deletes rows that have been done for a while, for want of a read that would.
func (l *leader) deleteLate(ctx context.Context) error {
	if l.undeleted() == 0 || time.Since(l.doneAt) < markDelay {
		return nil
	}
	return l.delete(ctx)
}

// delete deletes what is done, if there is anything.
func (l *leader) delete(ctx context.Context) error {
	if !l.outbox.Pending() {
		return nil
	}
	finish, end := outlive(ctx)
	defer end()
	if err := l.outbox.Delete(finish); err != nil {
		return err
	}
	failpoint.Hit(failpoint.RelayAfterMark)
	return nil
}

// rewind makes the next read start from the beginning.
func (l *leader) rewind() {
	if !failpoint.Mutated(failpoint.HighWaterOffset) {
		l.last = 0
	}
}

// limit is how many events are read at a time: half of what may be under way, so
// that one half can be read and deleted while the other is on its way.
func (l *leader) limit() int { return max(l.cfg.Batch/2, 1) }

// release tells whether a held chat has now waited long enough. It tells that
// once: the read that starts over for its sake may have to pass a great many
// events of chats that wait on.
func (l *leader) release(now time.Time) bool {
	due := false
	for _, h := range l.held {
		if !h.released && !now.Before(h.until) {
			h.released, due = true, true
		}
	}
	return due
}

// sendable leaves out the chats that are held, and of those that are released all
// but the first event.
func (l *leader) sendable(rows []queries.OutboxRow) []departure {
	out := make([]departure, 0, eventsOf(rows))
	first := map[int64]bool{}
	for i := range rows {
		for at := range rows[i].Events {
			d := departure{&rows[i].Events[at], &rows[i]}
			if len(l.held) == 0 || l.mayGo(d.order(), first) {
				out = append(out, d)
			}
		}
	}
	return out
}

// mayGo tells whether the next event of a chat may go. first are the released chats
// that have one on its way in this round.
func (l *leader) mayGo(chat int64, first map[int64]bool) bool {
	h, ok := l.held[chat]
	switch {
	case !ok:
		return true
	case h.released && !first[chat]:
		first[chat], h.more = true, false
		return true
	case h.released:
		h.more = true
	}
	return false
}

// settle removes the events that are done from the outbox, and decides how the
// others wait. Behind an event that stays, none of its chat is done, even if it is
// confirmed: both go out again, in order, and the ids tell the consumer.
func (l *leader) settle(ctx context.Context, departures []departure, errs []error) error {
	var broker error
	var confirmed, unroutable int
	nacked := map[int64]bool{}
	done := make([]bool, len(departures))
	for i := range departures {
		chat, err := departures[i].order(), errs[i]
		nobodyThere := errors.Is(err, ErrUnroutable) && l.cfg.Routing == RoutingUser
		if err != nil && !nobodyThere {
			if !errors.Is(err, ErrNacked) {
				broker = err
			} else if !l.refused[chat] {
				nacked[chat] = true
			}
			l.refuse(chat)
		}
		switch {
		case l.refused[chat]:
			continue
		case nobodyThere:
			unroutable++
		default:
			confirmed++
		}
		done[i] = true
	}
	if err := l.remove(ctx, departures, done); err != nil {
		return err
	}
	if confirmed+unroutable > 0 {
		l.cfg.Observe.Dispatched(confirmed, unroutable, time.Since(departures[0].row.CreatedAt))
	}
	for i := range departures {
		if chat := departures[i].order(); !l.refused[chat] {
			l.advance(chat)
		}
	}
	stay := len(departures) - confirmed - unroutable
	if stay > 0 {
		l.cfg.Observe.Held(stay)
		l.rewind() // what stays is read again
	}
	switch {
	case broker != nil:
		l.rest(fmt.Errorf("dispatching events: %w", broker), stay)
	case len(nacked) > 0:
		l.holdChats(nacked)
	case l.refused == nil:
		l.pauses.Reset()
		l.setErr(l.heldErr())
	}
	return nil
}

// remove has the rows deleted of which all events are done, and takes those that
// are done out of the others.
func (l *leader) remove(ctx context.Context, departures []departure, done []bool) error {
	var whole []int64
	var left []queries.OutboxRow
	events := 0
	for first := 0; first < len(departures); {
		row := departures[first].row
		end := first
		for end < len(departures) && departures[end].row == row {
			end++
		}
		switch rest := without(row.Events, departures[first:end], done[first:end]); len(rest) {
		case 0:
			whole = append(whole, row.ID)
			events += len(row.Events)
		case len(row.Events):
		default:
			left = append(left, queries.OutboxRow{ID: row.ID, Events: rest})
		}
		first = end
	}
	failpoint.Hit(failpoint.RelayBeforeMark)
	if err := l.outbox.Keep(ctx, left); err != nil {
		return err
	}
	if len(whole) > 0 && l.undeleted() == 0 {
		l.doneAt = time.Now()
	}
	l.outbox.Done(whole)
	l.doneEvents += events
	return nil
}

// without returns the events of a row but for those that are done. The departures
// are some of them, in their order.
func without(events []queries.OutboxEvent, departures []departure, done []bool) []queries.OutboxEvent {
	var rest []queries.OutboxEvent
	next := 0
	for i := range events {
		if next < len(departures) && departures[next].OutboxEvent == &events[i] {
			next++
			if done[next-1] {
				continue
			}
		}
		rest = append(rest, events[i])
	}
	return rest
}

// refuse keeps what is on its way for a chat from being done: it went out behind
// an event that is to go out again.
func (l *leader) refuse(chat int64) {
	if l.refused == nil {
		l.refused = map[int64]bool{}
	}
	l.refused[chat] = true
}

// advance lets the next event of a chat go of which one is done, if there is one.
func (l *leader) advance(chat int64) {
	h, ok := l.held[chat]
	switch {
	case !ok:
	case h.more:
		h.until, h.released = time.Now(), false
		h.pauses.Reset()
	default:
		delete(l.held, chat)
	}
}

// rest pauses everything: the broker is lost, or nobody is there to take an
// event, which is the same for all of them.
func (l *leader) rest(err error, events int) {
	if l.resting == 0 { // else for a window before this one
		l.resting = l.pauses.NextBackOff()
	}
	l.setErr(err)
	if errors.Is(err, ErrUnroutable) {
		l.cfg.Logger.Error("no queue is bound to the delivery exchange: events are kept and tried again",
			"events", events, "pause", l.resting)
		return
	}
	l.cfg.Logger.Warn("events could not be dispatched and are tried again", "err", err, "events", events, "pause", l.resting)
}

func (l *leader) holdChats(refused map[int64]bool) {
	for chat := range refused {
		h := l.held[chat]
		if h == nil {
			h = &hold{pauses: NewPauses(100*time.Millisecond, 5*time.Second)}
			l.held[chat] = h
		}
		h.until, h.released = time.Now().Add(h.pauses.NextBackOff()), false
	}
	l.setErr(l.heldErr())
	l.cfg.Logger.Warn("the broker refused events; their chats wait", "chats", len(l.held))
}

// heldErr tells that some chats wait while others go on.
func (l *leader) heldErr() error {
	if len(l.held) == 0 {
		return nil
	}
	return fmt.Errorf("dispatching events of %d chats: %w", len(l.held), ErrNacked)
}

// markDelay is how long rows that are done may wait for something to be read, with
// which they are deleted. If the service dies meanwhile their events go out again.
const markDelay = 20 * time.Millisecond

// pauseAfter waits as long as is right after a round, and settles what is confirmed
// meanwhile.
func (l *leader) pauseAfter(ctx context.Context, more bool) error {
	for {
		if l.last == 0 {
			// Something stays, or nothing is on its way. How long to wait is known when all that was on its way
			// with it is settled.
			if err := l.finish(ctx); err != nil {
				return err
			}
		}
		if l.resting > 0 {
			// Not to be woken: there are new rows all the time, and none can go.
			wait(ctx, l.resting, nil)
			l.resting = 0
			return nil
		}
		if more {
			return nil
		}
		pause := l.cfg.Poll
		if l.undeleted() > 0 {
			pause = min(pause, max(markDelay-time.Since(l.doneAt), time.Millisecond))
		}
		for _, h := range l.held {
			if !h.released {
				pause = min(pause, max(time.Until(h.until), time.Millisecond))
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-l.firstDone():
			timer.Stop()
			if err := l.landed(); err != nil {
				return err
			}
			continue
		case <-ctx.Done():
		case <-l.wake:
		case <-timer.C:
		}
		timer.Stop()
		return nil
	}
}
