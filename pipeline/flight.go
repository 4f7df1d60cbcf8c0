package pipeline

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"chat-messaging/middleware/failpoint"
)

// drainTimeout bounds what is still done for a window after the relay was told
// to stop.
const drainTimeout = 5 * time.Second

// outlive returns a context for what must be brought to its end once it is begun:
// it ends some time after ctx does. end releases it.
func outlive(ctx context.Context) (outliving context.Context, end func()) {
	outliving, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(drainTimeout, func() { cancel(errors.New("the relay was stopped")) })
	})
	return outliving, func() {
		stop()
		cancel(nil)
	}
}

// maxFlights bounds the windows that are on their way at a time. Each is as many
// events as there were when it was read, so at low rates they are small.
const maxFlights = 8

// flight is a window on its way: its events are published, and in some time
// confirmed.
type flight struct {
	departures []departure
	call       *publishCall
	ctx        context.Context //nolint:containedctx // of what is still to be done for it
	end        func()
}

// makeRoom brings windows to their end until one more may go. A read from the
// beginning would find the rows of all that are on their way. A chat that is held
// goes one event at a time, and whether the next may is known when it is confirmed.
func (l *leader) makeRoom() error {
	for len(l.flights) > 0 {
		if l.last > 0 && len(l.held) == 0 && len(l.flights) < maxFlights && l.underWay()+l.limit() <= l.cfg.Batch {
			return nil
		}
		if err := l.land(); err != nil {
			return err
		}
	}
	return nil
}

// underWay is how many events are on their way.
func (l *leader) underWay() int {
	events := 0
	for _, f := range l.flights {
		events += len(f.departures)
	}
	return events
}

// launch publishes a window.
func (l *leader) launch(ctx context.Context, departures []departure) {
	msgs := toMessages(departures)
	// A window that was begun is brought to its end: an event that is confirmed
	// but not deleted goes out a second time.
	finish, end := outlive(ctx)
	finish, span := l.cfg.Tracer.Start(finish, "dispatch events", trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(attribute.Int("messaging.batch.message_count", len(msgs))))
	if failpoint.Mutated(failpoint.MarkBeforeConfirm) {
		_ = l.settle(finish, departures, make([]error, len(departures)))
		_ = l.outbox.Delete(finish)
	}
	var before *publishCall
	if n := len(l.flights); n > 0 {
		before = l.flights[n-1].call
	}
	l.flights = append(l.flights, &flight{
		departures: departures, call: l.cfg.Publisher.begin(finish, "", msgs, before), ctx: finish,
		end: func() {
			span.End()
			end()
		},
	})
}

// touchInterval is how often the session hears from us during a window, which can
// take as long as an alarm of the broker. It would be ended, and the window go out
// again.
const touchInterval = 5 * time.Second

// land waits for the outcome of the window that was launched first, and keeps the
// outbox meanwhile.
func (l *leader) land() error {
	f := l.flights[0]
	ticker := time.NewTicker(touchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-f.call.done:
			return l.landed()
		case <-ticker.C:
			limited, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), touchInterval)
			keep := l.outbox.Touch
			if l.outbox.Pending() {
				keep = l.outbox.Delete
			}
			err := keep(limited)
			cancel()
			if err != nil {
				// Deleting will fail, and say so. What is on its way is on its way.
				l.cfg.Logger.Warn("the relay may have lost the outbox in the midst of a window", "err", err)
				<-f.call.done
				return l.landed()
			}
		}
	}
}

// landed settles the window that was launched first.
func (l *leader) landed() error {
	f := l.flights[0]
	l.flights = slices.Delete(l.flights, 0, 1)
	defer f.end()
	failpoint.Hit(failpoint.RelayAfterConfirm)
	if err := l.settle(f.ctx, f.departures, f.call.errs); err != nil {
		return err
	}
	l.progress = true
	if len(l.flights) == 0 {
		l.refused = nil
	}
	return nil
}

// firstDone is closed when the window that was launched first may be settled; nil
// if there is none.
func (l *leader) firstDone() <-chan struct{} {
	if len(l.flights) == 0 {
		return nil
	}
	return l.flights[0].call.done
}

// finish brings what is on its way to its end, and deletes what is done.
func (l *leader) finish(ctx context.Context) error {
	for len(l.flights) > 0 {
		if err := l.land(); err != nil {
			return err
		}
	}
	return l.delete(ctx)
}

// abandon waits for what is on its way without settling it: the session is lost,
// and whoever leads next must not publish between it.
func (l *leader) abandon() {
	for _, f := range l.flights {
		<-f.call.done
		f.end()
	}
	l.flights = nil
}
