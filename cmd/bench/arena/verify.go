package arena

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
)

// quiet is how long the output queue is read without anything coming before an
// event counts as missing. All are in the queue already.
const quiet = 10 * time.Second

// Verify checks, once the contender is gone, that it has done its work: the
// input queue is empty and stays so, nothing is poisoned, every message has come
// out once, and, if stores is set, is stored. It takes the events out.
func (g *Ground) Verify(ctx context.Context, stores bool) error {
	var faults []error
	for _, queue := range []string{g.Topology.DatabaseQueue, g.Topology.PoisonQueue} {
		left, err := g.depth(queue)
		if err == nil && left > 0 {
			err = fmt.Errorf("%d messages are left in queue %s", left, queue)
		}
		faults = append(faults, err)
	}
	faults = append(faults, g.verifySent(ctx))
	if stores {
		faults = append(faults, g.arena.verifyStored(ctx, g.name, g.workload.Count))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("checking the work: %w", err)
	}
	return nil
}

func (g *Ground) verifySent(ctx context.Context) error {
	missing := make(map[uuid.UUID]struct{}, g.workload.Count)
	for key := range g.workload.Messages() {
		missing[key] = struct{}{}
	}
	ch, err := g.arena.broker.Channel(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }()
	sent, err := g.Sent()
	if err != nil {
		return err
	}
	events, err := ch.ConsumeWithContext(ctx, g.outbound, "", true, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("reading the events: %w", err)
	}
	for range sent {
		if err := take(ctx, events, missing); err != nil {
			return err
		}
	}
	if len(missing) > 0 || sent != g.workload.Count {
		return fmt.Errorf("%d events came out for %d messages, %d of these without one",
			sent, g.workload.Count, len(missing))
	}
	return nil
}

// take reads one event and strikes its message off.
func take(ctx context.Context, events <-chan amqp.Delivery, missing map[uuid.UUID]struct{}) error {
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	var event amqp.Delivery
	var open bool
	select {
	case event, open = <-events:
		if !open {
			return errors.New("reading the events: the broker ended the consumer")
		}
	case <-ctx.Done():
		return fmt.Errorf("reading the events: %w", context.Cause(ctx))
	case <-timer.C:
		return fmt.Errorf("reading the events: none came for %s, %d are missing", quiet, len(missing))
	}
	var content struct {
		ClientMessageID uuid.UUID `json:"client_message_id"`
		RejectReason    *string   `json:"reject_reason"`
	}
	if err := json.Unmarshal(event.Body, &content); err != nil {
		return fmt.Errorf("reading an event: %w", err)
	}
	if content.RejectReason != nil {
		return fmt.Errorf("a message was rejected: %s", *content.RejectReason)
	}
	if _, expected := missing[content.ClientMessageID]; !expected {
		return fmt.Errorf("the event of message %s is not expected, or not again", content.ClientMessageID)
	}
	delete(missing, content.ClientMessageID)
	return nil
}
