package crash

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Finish lets one service, which may have to be started once more, bring all to
// its end, stops it, and audits.
func (r *Run) Finish(ctx context.Context) (*Audit, error) {
	service, err := r.last(ctx)
	if err != nil {
		return nil, err
	}
	a := &Audit{Name: r.cfg.Ground.Name}
	if err := r.settle(ctx, service); err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		a.violated(I10, "%v", err)
	}
	if ended(service.Ended()) {
		return nil, fmt.Errorf("%w: %w", errEnded, service.Err())
	}
	limited, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if err := service.Stop(limited); err != nil {
		return nil, err
	}
	if err := r.emptied(limited, a); err != nil {
		return nil, err
	}
	if err := r.endRecording(limited); err != nil {
		return nil, err
	}
	poisoned, err := drain(limited, r.ground.broker, r.ground.topology.PoisonQueue)
	if err != nil {
		return nil, err
	}
	return a, r.audit(ctx, a, poisoned)
}

// last is the service that brings all to its end: the one that runs, if it may
// live, or a new one. All others are killed.
func (r *Run) last(ctx context.Context) (*life, error) {
	for len(r.lives) > 0 && (len(r.lives) > 1 || r.lives[0].death.point != "") {
		if err := r.awaitDeath(ctx, 0); err != nil {
			return nil, err
		}
	}
	if len(r.lives) == 0 {
		if err := r.serve(death{}); err != nil {
			return nil, err
		}
	}
	return r.lives[0], nil
}

func ended(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// settle waits until a service consumes, and nothing waits for it or for the
// recorder, twice in a row: the broker's counts may be a moment old.
func (r *Run) settle(ctx context.Context, service *life) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Settle)
	defer cancel()
	quiet := 0
	return await(ctx, "all is settled", func() (bool, error) {
		waiting, consumers, err := r.ground.queue(ctx, r.ground.topology.DatabaseQueue)
		if err != nil {
			return false, err
		}
		outbox, err := r.ground.count(ctx, "outbox")
		if err != nil {
			return false, err
		}
		recorder, _, err := r.ground.queue(ctx, r.ground.recorderQueue)
		if err != nil {
			return false, err
		}
		if consumers != 1 || waiting+outbox+recorder > 0 {
			quiet = 0
			return ended(service.Ended()), fmt.Errorf("%d consumers, %d messages wait, %d events in the outbox, %d for the recorder",
				consumers, waiting, outbox, recorder)
		}
		quiet++
		return quiet > 2, nil
	})
}

// emptied checks that the service, now gone, has left nothing: what it had in
// hand would be back in its queue.
func (r *Run) emptied(ctx context.Context, a *Audit) error {
	waiting := 0
	err := await(ctx, "nobody consumes any more", func() (bool, error) {
		var consumers int
		var err error
		waiting, consumers, err = r.ground.queue(ctx, r.ground.topology.DatabaseQueue)
		return err == nil && consumers == 0, err
	})
	if err != nil {
		return err
	}
	outbox, err := r.ground.count(ctx, "outbox")
	if err != nil {
		return err
	}
	if waiting+outbox > 0 {
		a.violated(I10, "%d messages are left in the queue and %d events in the outbox", waiting, outbox)
	}
	return nil
}

// endRecording waits for the recorder to have got all, ends it, and takes what it
// had not acknowledged from its queue.
func (r *Run) endRecording(ctx context.Context) error {
	if err := await(ctx, "all is recorded", func() (bool, error) {
		waiting, _, err := r.ground.queue(ctx, r.ground.recorderQueue)
		return err == nil && waiting == 0, err
	}); err != nil {
		return err
	}
	if err := r.recorder.close(); err != nil {
		return err
	}
	if _, err := r.recording.read(); err != nil {
		return err
	}
	if err := await(ctx, "the recorder is gone", func() (bool, error) {
		_, consumers, err := r.ground.queue(ctx, r.ground.recorderQueue)
		return err == nil && consumers == 0, err
	}); err != nil {
		return err
	}
	rest, err := drain(ctx, r.ground.broker, r.ground.recorderQueue)
	if err != nil {
		return err
	}
	r.recording.add(rest)
	return nil
}

// drain takes all messages out of a queue that nobody else uses any more. It
// consumes, because a queue with a single active consumer answers to nothing else.
func drain(ctx context.Context, broker, queue string) ([]amqp.Delivery, error) {
	var all []amqp.Delivery
	err := onChannel(ctx, broker, func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		if err != nil {
			return err
		}
		deliveries, err := ch.ConsumeWithContext(ctx, queue, "", true, false, false, false, nil)
		if err != nil {
			return err
		}
		for range q.Messages {
			d, ok := <-deliveries
			if !ok {
				return errors.New("the consumer ended")
			}
			all = append(all, d)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("emptying queue %s: %w", queue, err)
	}
	return all, nil
}
