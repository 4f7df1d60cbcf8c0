package arena

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// quiet is how long a queue is read without anything coming before a message
// counts as missing. All are in the queue already.
const quiet = 10 * time.Second

// Verify checks, once the contender is gone, that it has done its work: the
// input queue is empty and stays so, every message has come out or is parked as
// it must be, and, if stores is set, the accepted ones are stored. It takes out
// what it reads, and strikes it off the ledger.
func (g *Ground) Verify(ctx context.Context, ledger *Ledger, stores bool) error {
	faults := []error{
		g.verifyTaken(),
		g.drain(ctx, g.outbound, func(d amqp.Delivery) error {
			_, err := ledger.Event(d)
			return err
		}),
		g.drain(ctx, g.Topology.PoisonQueue, ledger.Parked),
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("checking the work: %w", err)
	}
	if err := ledger.Missing(); err != nil {
		return fmt.Errorf("checking the work: %w", err)
	}
	if !stores {
		return nil
	}
	if err := g.verifyStored(ctx, ledger.Accepted()); err != nil {
		return fmt.Errorf("checking the work: %w", err)
	}
	return nil
}

// VerifyPart checks the work of a contender that was stopped in the middle of a
// workload of accepted messages: each is either stored and has come out, or is
// still in the input queue.
func (g *Ground) VerifyPart(ctx context.Context) error {
	var faults []error
	waiting, err := g.Waiting()
	faults = append(faults, err)
	sent, err := g.Sent()
	faults = append(faults, err)
	parked, err := g.Parked()
	faults = append(faults, err)
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("checking the work: %w", err)
	}
	if waiting+sent != g.workload.Count || parked > 0 {
		return fmt.Errorf("checking the work: of %d messages %d are waiting, %d have come out and %d are poisoned",
			g.workload.Count, waiting, sent, parked)
	}
	if err := g.verifyStored(ctx, sent); err != nil {
		return fmt.Errorf("checking the work: %w", err)
	}
	return nil
}

func (g *Ground) verifyTaken() error {
	left, err := g.Waiting()
	if err == nil && left > 0 {
		err = fmt.Errorf("%d messages are left in queue %s", left, g.Topology.DatabaseQueue)
	}
	return err
}

// drain hands on all that is in a queue now.
func (g *Ground) drain(ctx context.Context, queue string, take func(amqp.Delivery) error) error {
	left, err := g.depth(queue)
	if err != nil || left == 0 {
		return err
	}
	ch, err := g.arena.broker.Channel(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }()
	deliveries, err := ch.ConsumeWithContext(ctx, queue, "", true, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("reading queue %s: %w", queue, err)
	}
	for ; left > 0; left-- {
		d, err := next(ctx, deliveries, quiet)
		if err == nil {
			err = take(d)
		}
		if err != nil {
			return fmt.Errorf("reading queue %s, %d before its end: %w", queue, left, err)
		}
	}
	return nil
}

// next waits for a delivery.
func next(ctx context.Context, deliveries <-chan amqp.Delivery, patience time.Duration) (amqp.Delivery, error) {
	select { // spares the timer where there is one already
	case d, open := <-deliveries:
		if open {
			return d, nil
		}
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case d, open := <-deliveries:
		if !open {
			return d, errors.New("the broker ended the consumer")
		}
		return d, nil
	case <-ctx.Done():
		return amqp.Delivery{}, context.Cause(ctx)
	case <-timer.C:
		return amqp.Delivery{}, fmt.Errorf("nothing came for %s", patience)
	}
}
