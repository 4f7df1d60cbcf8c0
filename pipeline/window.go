package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
)

// State is what a subscription is doing.
type State string

// The states of a subscription.
const (
	// Waiting: not consuming, because something that it needs is away.
	Waiting State = "waiting"
	// Standby: another instance consumes.
	Standby State = "standby"
	// Consuming: messages come as soon as there are any.
	Consuming State = "consuming"
	// Paused: an operator has said so.
	Paused State = "paused"
	// Stopped: the subscription has ended.
	Stopped State = "stopped"
)

// errStandby: another instance has the queue.
var errStandby = errors.New("another instance consumes the queue")

// standbyInterval is how often a standby looks whether it may take over.
const standbyInterval = time.Second

// lockCheckInterval is how often a consumer that holds an advisory lock makes
// sure that it still does.
const lockCheckInterval = time.Second

// window is the unacknowledged deliveries of one channel. When the channel
// goes the window goes, and its messages' contexts with it.
type window struct {
	*subscription
	ch       *amqp.Channel
	ctx      context.Context //nolint:containedctx // parent of the messages' contexts
	cancel   context.CancelCauseFunc
	closed   <-chan *amqp.Error // the channel's end
	slots    chan slot          // handed out and not acknowledged, in arrival order
	inFlight chan struct{}      // one token for each message handed out
	arrived  []amqp.Delivery    // those that are being handed out; the pump's own
	progress bool               // something was acknowledged
}

// slot is the place in the window of a message, and so of all deliveries that it
// carries.
type slot struct {
	msg      *message.Message
	tag      uint64 // of the last delivery
	size     int    // how many there are
	bytes    int    // of all their bodies
	delivery *deliveryContext
}

// consume opens a channel and works through it until it ends. It reports
// whether anything was acknowledged. begin ends when no new work should start.
func (s *subscription) consume(ctx, begin context.Context) (progress bool, err error) {
	s.cfg.OnState(Waiting)
	if err := s.cfg.Prepare(begin, s.topic); err != nil {
		return false, err
	}
	// Rewinds asked for before this are done.
	select {
	case <-s.rewind:
	default:
	}
	mode, release, lost, err := s.claim(begin)
	if err != nil {
		return false, err
	}
	defer release()
	ch, err := s.cfg.Connection.Channel(begin)
	if err != nil {
		return false, err
	}
	defer func() { _ = s.cfg.Connection.closeChannel(begin, ch) }()
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	deliveries, err := s.start(begin, ch, mode)
	if err != nil {
		return false, err
	}
	w := &window{
		subscription: s,
		ch:           ch,
		closed:       closed,
		slots:        make(chan slot, s.cfg.Prefetch),
		inFlight:     make(chan struct{}, s.cfg.InFlight),
	}
	// Detached: a closing router ends the Subscribe context before it closes the
	// subscriber, and what is in hand gets the time of drain in either case.
	w.ctx, w.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	s.window.Store(w)
	defer s.window.Store(nil)
	s.cfg.OnState(Consuming)

	acknowledged := make(chan error, 1)
	go func() { acknowledged <- w.acknowledge() }()
	pumpErr := w.pump(begin, deliveries, lost)
	close(w.slots)
	ackErr := w.drain(pumpErr, acknowledged)
	w.cancel(errChannelLost)
	return w.progress, errors.Join(pumpErr, ackErr)
}

// start asks for deliveries.
func (s *subscription) start(ctx context.Context, ch *amqp.Channel, mode Exclusivity) (<-chan amqp.Delivery, error) {
	err := s.cfg.Connection.await(ctx, func() error { return ch.Qos(s.cfg.Prefetch, 0, false) })
	if err != nil {
		return nil, fmt.Errorf("setting the prefetch: %w", err)
	}
	var deliveries <-chan amqp.Delivery
	err = s.cfg.Connection.await(ctx, func() (err error) {
		deliveries, err = ch.Consume(s.topic, "", false, mode == ExclusiveConsumer, false, false, nil)
		return err
	})
	if err != nil {
		if hasCode(err, amqp.AccessRefused) && mode == ExclusiveConsumer {
			s.cfg.OnState(Standby)
			return nil, errStandby
		}
		return nil, fmt.Errorf("consuming from queue %q: %w", s.topic, err)
	}
	return deliveries, nil
}

// claim finds out how the queue is kept to one consumer, and takes the lock if
// that is the way. lost is closed when the lock is.
func (s *subscription) claim(ctx context.Context) (mode Exclusivity, release func(), lost <-chan struct{}, err error) {
	if !s.cfg.Exclusive {
		return Shared, func() {}, nil, nil
	}
	// A standby asks every second: looking each time would fill the broker's log
	// with the declarations that it refuses.
	if !s.inspected {
		if mode, err = s.inspect(ctx); err != nil {
			return "", nil, nil, err
		}
		s.exclusivity, s.inspected = mode, true
	}
	mode = s.exclusivity
	if mode != AdvisoryLock {
		return mode, func() {}, nil, nil
	}
	lock, err := s.cfg.Lock(ctx, s.topic)
	if err != nil {
		return "", nil, nil, err
	}
	if lock == nil {
		s.cfg.OnState(Standby)
		return "", nil, nil, errStandby
	}
	lostCh := make(chan struct{})
	watch, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer lock.Close()
		watchLock(watch, lock, lostCh)
	}()
	return mode, func() { cancel(); <-done }, lostCh, nil
}

// inspect finds out by the queue's arguments how it is kept to one consumer.
func (s *subscription) inspect(ctx context.Context) (Exclusivity, error) {
	args, err := inspectQueue(ctx, s.cfg.Connection, s.topic)
	mode := exclusivityOf(args)
	switch {
	case errors.Is(err, errUntold) || hasCode(err, amqp.AccessRefused):
		s.logger.Warn("cannot tell the queue's arguments, so an advisory lock keeps it to one consumer", "err", err)
		mode = AdvisoryLock
	case err != nil:
		return "", err
	}
	if mode == s.exclusivity {
		return mode, nil
	}
	s.logger.Info("one instance at a time consumes the queue", "by", string(mode), "arguments", fmt.Sprint(args))
	if err == nil && args["x-queue-type"] != QueueQuorum {
		s.logger.Warn("the queue is a classic one: messages that producers did not mark persistent are lost when the broker restarts")
	}
	return mode, nil
}

func watchLock(ctx context.Context, lock Lock, lost chan<- struct{}) {
	ticker := time.NewTicker(lockCheckInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			check, cancel := context.WithTimeout(ctx, 2*lockCheckInterval)
			err := lock.Check(check)
			cancel()
			if err != nil && ctx.Err() == nil {
				close(lost)
				return
			}
		}
	}
}

// pump hands deliveries out until the channel ends, and returns why it did:
// errDrained if no new work should start.
func (w *window) pump(begin context.Context, deliveries <-chan amqp.Delivery, lost <-chan struct{}) error {
	for {
		select {
		case d, ok := <-deliveries:
			if !ok {
				// Not a delivery: the channel was closed, or the broker cancelled
				// the consumer because its queue is gone.
				w.cancel(errChannelLost)
				return errors.New("the broker ended the consumer")
			}
			if d.Acknowledger == nil {
				continue
			}
			if err := w.handOut(begin, d, deliveries); err != nil {
				return err
			}
		case reason := <-w.rewind:
			w.cancel(errRewound)
			return reason
		case <-lost:
			w.cancel(errChannelLost)
			return errors.New("the lock on the queue is lost")
		case <-w.closed:
			w.cancel(errChannelLost)
			return errChannelLost
		case <-w.ctx.Done():
			return context.Cause(w.ctx)
		case <-begin.Done():
			return errDrained
		}
	}
}

// handOut gives one message to the subscription's reader, in its turn: the
// delivery, or a group of it and others that have arrived already. After an error
// nothing may be handed out any more: an acknowledgement of a later message would
// cover the one that was not.
func (w *window) handOut(begin context.Context, d amqp.Delivery, deliveries <-chan amqp.Delivery) error {
	select {
	case w.inFlight <- struct{}{}:
	case <-w.closed:
		w.cancel(errChannelLost)
		return errChannelLost
	case reason := <-w.rewind:
		w.cancel(errRewound)
		return reason
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	case <-begin.Done():
		return errDrained
	}
	msg, place, err := w.admit(d, deliveries)
	if err != nil {
		return fmt.Errorf("reading a delivery: %w", err)
	}
	// The slot first: once the message is out it may be settled at any time.
	w.slots <- place
	select {
	case w.out <- msg:
		return nil
	case <-w.closed:
		w.cancel(errChannelLost)
		msg.Nack()
		return errChannelLost
	case <-w.ctx.Done():
		msg.Nack()
		return context.Cause(w.ctx)
	case reason := <-w.rewind:
		w.cancel(errRewound)
		msg.Nack()
		return reason
	case <-begin.Done():
		// Never handed out: the acknowledger meets a nack, gives up the window
		// behind it, and there is nothing behind it.
		msg.Nack()
		return errDrained
	}
}

// drain waits for the acknowledger. If the subscriber is closing, messages that
// are being handled get their time; otherwise there is nothing to wait for.
func (w *window) drain(pumpErr error, acknowledged <-chan error) error {
	if errors.Is(pumpErr, errDrained) {
		timer := time.NewTimer(w.cfg.Drain)
		defer timer.Stop()
		select {
		case err := <-acknowledged:
			return err
		case <-w.closed:
			w.cancel(errChannelLost)
		case <-timer.C:
			w.logger.Warn("messages were still being handled at the end of the grace period; the broker delivers them again")
		case <-w.ctx.Done():
		}
	}
	w.cancel(errDrained)
	return <-acknowledged
}
