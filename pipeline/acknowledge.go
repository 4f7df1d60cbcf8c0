package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chat-messaging/middleware/failpoint"
)

// errNackedMessage gives back the window of a message that was nacked.
var errNackedMessage = errors.New("a message was nacked")

// ackDelay is how long an acknowledgement may wait for others that it can take
// along. Nobody else waits for it: the outcome is committed by then. On a quorum
// queue each one is an entry in the log of every replica, and the messages of a
// batch settle one by one within far less than this.
const ackDelay = 10 * time.Millisecond

// acknowledger reports the settled messages of a window to the broker, in the
// order of their arrival and as many as possible at once.
type acknowledger struct {
	*window
	settled  uint64 // tag of the last message that may be acknowledged
	reported uint64 // tag of the last one that is
	delay    *time.Timer
}

// acknowledge settles the window's slots in arrival order until there are no
// more. It waits for the oldest message and then for the one behind it; a run of
// them is one frame, sent when it is a quarter of the window or has waited for
// ackDelay.
func (w *window) acknowledge() error {
	a := &acknowledger{window: w, delay: time.NewTimer(ackDelay)}
	defer a.delay.Stop()
	for {
		s, ok, err := a.next()
		if err != nil {
			return a.abandon(err)
		}
		if !ok {
			return a.report()
		}
		err = a.wait(s)
		a.release(s)
		if err != nil {
			return a.abandon(err)
		}
		if a.settled == a.reported {
			a.delay.Reset(ackDelay)
		}
		a.settled = s.tag
		if a.settled-a.reported > uint64(w.cfg.Prefetch/4) { //nolint:gosec // a positive number
			if err := a.report(); err != nil {
				return a.abandon(err)
			}
		}
	}
}

// due fires when what is settled has waited long enough; never if there is
// nothing to report.
func (a *acknowledger) due() <-chan time.Time {
	if a.settled == a.reported {
		return nil
	}
	return a.delay.C
}

// next returns the oldest slot; false after the last.
func (a *acknowledger) next() (slot, bool, error) {
	for {
		select {
		case s, ok := <-a.slots:
			return s, ok, nil
		case <-a.due():
			if err := a.report(); err != nil {
				return slot{}, false, err
			}
		}
	}
}

// wait returns when the message is acked, and an error if it never will be.
func (a *acknowledger) wait(s slot) error {
	for {
		select {
		case <-s.msg.Acked():
			return nil
		case <-s.msg.Nacked():
			// What came before it is settled, and stays so.
			err := a.report()
			if failpoint.Mutated(failpoint.NackOnDatabaseError) {
				a.reported = s.tag
				return errors.Join(err, a.ch.Nack(s.tag, false, true))
			}
			a.cancel(errRewound)
			return errors.Join(errNackedMessage, err)
		case <-a.ctx.Done():
			return context.Cause(a.ctx)
		case <-a.due():
			if err := a.report(); err != nil {
				return err
			}
		}
	}
}

// report acknowledges everything that is settled.
func (a *acknowledger) report() error {
	if a.settled == a.reported {
		return nil
	}
	failpoint.Hit(failpoint.BeforeAck)
	if failpoint.Mutated(failpoint.AckBeforeCommit) {
		a.reported = a.settled
		return nil
	}
	if err := a.ch.Ack(a.settled, true); err != nil {
		a.cancel(errChannelLost)
		return fmt.Errorf("acknowledging: %w", err)
	}
	failpoint.Hit(failpoint.AfterAck)
	a.reported = a.settled
	a.progress = true
	return nil
}

func (w *window) release(s slot) {
	if s.delivery.ticket != nil {
		s.delivery.ticket.Leave()
	}
	s.delivery.settle()
	w.cfg.Connection.intake.settle(s.bytes)
	for range s.size {
		<-w.inFlight
	}
}

// abandon gives up the slots that are left, so that nobody waits for their
// tickets. The channel is closed right after, and the broker requeues them all.
func (w *window) abandon(err error) error {
	for s := range w.slots {
		w.release(s)
	}
	return err
}
