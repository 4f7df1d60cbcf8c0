package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v5"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"chat-messaging/middleware/failpoint"
	"chat-messaging/queries"
)

// leader is a relay at work: what it knows of the outbox between two reads.
type leader struct {
	*Relay
	outbox *queries.Outbox
	// last is the highest id that was read; the next read starts behind it.
	last int64
	// swept is when a read last started from the beginning.
	swept time.Time
	// held are the chats whose next event the broker refused. They wait, each
	// with its own growing pause, and the others go on.
	held map[int64]*hold
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

// drainTimeout bounds what is still done for a window after the relay was told
// to stop.
const drainTimeout = 5 * time.Second

// round reads once, publishes what may go, and deletes what is confirmed. It
// returns how many rows it read. An error means that the session is lost.
func (l *leader) round(ctx context.Context) (int, error) {
	now := time.Now()
	if (l.release(now) || now.Sub(l.swept) >= l.cfg.Sweep) && !failpoint.Mutated(failpoint.HighWaterOffset) {
		l.last, l.swept = 0, now
	}
	rows, err := l.outbox.Read(ctx, l.last, l.cfg.Batch)
	if err != nil {
		return 0, err
	}
	l.resting = 0
	if len(rows) == 0 {
		if l.last == 0 { // nothing is left that could be held
			clear(l.held)
			l.setErr(nil)
		}
		return 0, nil
	}
	failpoint.Hit(failpoint.RelayAfterSelect)
	l.last = rows[len(rows)-1].ID
	read := len(rows)
	rows = l.sendable(rows)
	if len(rows) == 0 {
		return read, nil
	}
	msgs := make([]*message.Message, len(rows))
	for i := range rows {
		msgs[i] = toMessage(&rows[i])
	}
	// A window that was begun is brought to its end: an event that is confirmed
	// but not deleted goes out a second time.
	finish, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(drainTimeout, func() { cancel(errors.New("the relay was stopped")) })
	})()
	finish, span := l.cfg.Tracer.Start(finish, "dispatch events", trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(attribute.Int("messaging.batch.message_count", len(msgs))))
	defer span.End()
	if failpoint.Mutated(failpoint.MarkBeforeConfirm) {
		_ = l.settle(finish, rows, make([]error, len(rows)))
	}
	errs := l.publish(finish, msgs)
	failpoint.Hit(failpoint.RelayAfterConfirm)
	return read, l.settle(finish, rows, errs)
}

// touchInterval is how often the session hears from us during a window, which can
// take as long as an alarm of the broker. It would be ended, and the window go out
// again.
const touchInterval = 5 * time.Second

// publish publishes the window and keeps the outbox meanwhile.
func (l *leader) publish(ctx context.Context, msgs []*message.Message) []error {
	result := make(chan []error, 1)
	go func() { result <- l.cfg.Publisher.PublishEach(ctx, "", msgs) }()
	ticker := time.NewTicker(touchInterval)
	defer ticker.Stop()
	for {
		select {
		case errs := <-result:
			return errs
		case <-ticker.C:
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), touchInterval)
			err := l.outbox.Touch(limited)
			cancel()
			if err != nil {
				// Deleting will fail, and say so. What is on its way is on its way.
				l.cfg.Logger.Warn("the relay may have lost the outbox in the midst of a window", "err", err)
				return <-result
			}
		}
	}
}

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

// order is what an event must keep its place in: its chat, and for one that names
// no chat of ours the user it is for.
func order(row *queries.OutboxRow) int64 {
	if row.ChatID != 0 {
		return row.ChatID
	}
	return -row.UserID
}

// sendable leaves out the chats that are held, and of those that are released all
// but the first event.
func (l *leader) sendable(rows []queries.OutboxRow) []queries.OutboxRow {
	if len(l.held) == 0 {
		return rows
	}
	out := rows[:0]
	first := map[int64]bool{}
	for i := range rows {
		chat := order(&rows[i])
		h, ok := l.held[chat]
		switch {
		case !ok:
			out = append(out, rows[i])
		case h.released && !first[chat]:
			first[chat], h.more = true, false
			out = append(out, rows[i])
		case h.released:
			h.more = true
		}
	}
	return out
}

// settle deletes the rows whose events are done, and decides how the others
// wait. Behind a row that stays, no row of its chat is deleted, even if it is
// confirmed: both go out again, in order, and the ids tell the consumer.
func (l *leader) settle(ctx context.Context, rows []queries.OutboxRow, errs []error) error {
	var broker error
	var confirmed, unroutable, stay int
	refused := map[int64]bool{}
	done := make([]int64, 0, len(rows))
	for i := range rows {
		chat, err := order(&rows[i]), errs[i]
		nobodyThere := errors.Is(err, ErrUnroutable) && l.cfg.Routing == RoutingUser
		if err != nil && !nobodyThere {
			refused[chat] = true
			if !errors.Is(err, ErrNacked) {
				broker = err
			}
		}
		switch {
		case refused[chat]:
			stay++
			continue
		case nobodyThere:
			unroutable++
		default:
			confirmed++
		}
		done = append(done, rows[i].ID)
	}
	failpoint.Hit(failpoint.RelayBeforeMark)
	if err := l.outbox.Delete(ctx, done); err != nil {
		return err
	}
	failpoint.Hit(failpoint.RelayAfterMark)
	if len(done) > 0 {
		l.cfg.Observe.Dispatched(confirmed, unroutable, time.Since(rows[0].CreatedAt))
	}
	for i := range rows {
		if chat := order(&rows[i]); !refused[chat] {
			l.advance(chat)
		}
	}
	if stay == 0 {
		l.pauses.Reset()
		l.setErr(l.heldErr())
		return nil
	}
	l.cfg.Observe.Held(stay)
	l.last = 0 // what stays is read again
	if broker != nil {
		l.rest(fmt.Errorf("dispatching events: %w", broker), stay)
		return nil
	}
	l.holdChats(refused)
	return nil
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
	l.resting = l.pauses.NextBackOff()
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

// pauseAfter waits as long as is right after a round that read n rows.
func (l *leader) pauseAfter(ctx context.Context, n int) {
	if l.resting > 0 {
		// Not to be woken: there are new rows all the time, and none can go.
		wait(ctx, l.resting, nil)
		return
	}
	if n == l.cfg.Batch {
		return // there is more
	}
	pause := l.cfg.Poll
	for _, h := range l.held {
		if !h.released {
			pause = min(pause, max(time.Until(h.until), time.Millisecond))
		}
	}
	wait(ctx, pause, l.wake)
}
