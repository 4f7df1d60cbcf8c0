package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v5"

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
}

// drainTimeout bounds what is still done for a window after the relay was told
// to stop.
const drainTimeout = 5 * time.Second

// round reads once, publishes what may go, and deletes what is confirmed. It
// returns how many rows it read. An error means that the session is lost.
func (l *leader) round(ctx context.Context) (int, error) {
	now := time.Now()
	if now.Sub(l.swept) >= l.cfg.Sweep || l.anyDue(now) {
		l.last, l.swept = 0, now
	}
	rows, err := l.outbox.Read(ctx, l.last, l.cfg.Batch)
	if err != nil {
		return 0, err
	}
	l.resting = 0
	if len(rows) == 0 {
		return 0, nil
	}
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
	errs := l.cfg.Publisher.PublishEach(finish, "", msgs)
	return read, l.settle(finish, rows, errs)
}

// anyDue tells whether a held chat has waited long enough.
func (l *leader) anyDue(now time.Time) bool {
	for _, h := range l.held {
		if !now.Before(h.until) {
			return true
		}
	}
	return false
}

// sendable leaves out the chats that are held.
func (l *leader) sendable(rows []queries.OutboxRow) []queries.OutboxRow {
	if len(l.held) == 0 {
		return rows
	}
	now := time.Now()
	out := rows[:0]
	for _, row := range rows {
		if h, ok := l.held[row.ChatID]; !ok || !now.Before(h.until) {
			out = append(out, row)
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
	for i, row := range rows {
		err := errs[i]
		nobodyThere := errors.Is(err, ErrUnroutable) && l.cfg.Routing == RoutingUser
		if err != nil && !nobodyThere {
			refused[row.ChatID] = true
			if !errors.Is(err, ErrNacked) {
				broker = err
			}
		}
		switch {
		case refused[row.ChatID]:
			stay++
			continue
		case nobodyThere:
			unroutable++
		default:
			confirmed++
		}
		done = append(done, row.ID)
	}
	if err := l.outbox.Delete(ctx, done); err != nil {
		return err
	}
	if len(done) > 0 {
		l.cfg.Observe.Dispatched(confirmed, unroutable, time.Since(rows[0].CreatedAt))
	}
	for _, row := range rows {
		if !refused[row.ChatID] {
			delete(l.held, row.ChatID)
		}
	}
	if stay == 0 {
		l.pauses.Reset()
		l.setErr(nil)
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
			h = &hold{pauses: backoff.NewExponentialBackOff()}
			h.pauses.InitialInterval, h.pauses.MaxInterval, h.pauses.Multiplier = 100*time.Millisecond, 5*time.Second, 2
			h.pauses.Reset()
			l.held[chat] = h
		}
		h.until = time.Now().Add(h.pauses.NextBackOff())
	}
	l.setErr(fmt.Errorf("dispatching events of %d chats: %w", len(l.held), ErrNacked))
	l.cfg.Logger.Warn("the broker refused events; their chats wait", "chats", len(l.held))
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
		pause = min(pause, max(time.Until(h.until), time.Millisecond))
	}
	wait(ctx, pause, l.wake)
}
