package pipeline

import (
	"context"
	"errors"
	"fmt"
)

// errNackedMessage gives back the window of a message that was nacked.
var errNackedMessage = errors.New("a message was nacked")

// acknowledge settles the window's slots in arrival order until there are no
// more. It waits for the oldest message, goes on over those behind it that are
// settled already, and acknowledges the whole run at once: one frame for
// hundreds of messages under load, one each when they come singly.
func (w *window) acknowledge() error {
	var run uint64 // tag of the last acknowledged message not yet reported
	report := func() error {
		if run == 0 {
			return nil
		}
		tag := run
		run = 0
		if err := w.ch.Ack(tag, true); err != nil {
			w.cancel(errChannelLost)
			return fmt.Errorf("acknowledging: %w", err)
		}
		w.progress = true
		return nil
	}
	for {
		var s slot
		var ok bool
		select {
		case s, ok = <-w.slots:
		default:
			// Nobody else to take along.
			if err := report(); err != nil {
				return w.abandon(err)
			}
			s, ok = <-w.slots
		}
		if !ok {
			return report()
		}
		select {
		case <-s.msg.Acked():
		default:
			if err := report(); err != nil {
				w.release(s)
				return w.abandon(err)
			}
			if err := w.settled(s); err != nil {
				w.release(s)
				return w.abandon(err)
			}
		}
		run = s.tag
		w.release(s)
	}
}

// settled waits until the message is acked; an error if it never will be.
func (w *window) settled(s slot) error {
	select {
	case <-s.msg.Acked():
		return nil
	case <-s.msg.Nacked():
		w.cancel(errRewound)
		return errNackedMessage
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
}

func (w *window) release(s slot) {
	if s.delivery.ticket != nil {
		s.delivery.ticket.Leave()
	}
	s.delivery.settle()
	<-w.inFlight
}

// abandon gives up the slots that are left, so that nobody waits for their
// tickets. The channel is closed right after, and the broker requeues them all.
func (w *window) abandon(err error) error {
	for s := range w.slots {
		w.release(s)
	}
	return err
}
