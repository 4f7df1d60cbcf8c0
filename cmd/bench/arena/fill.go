package arena

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// fillWindow is how many publishings of the filling are under way at a time.
const fillWindow = 1000

// fill puts all messages of the workload into the input queue, persistent and
// confirmed.
func (g *Ground) fill(ctx context.Context) error {
	ch, err := g.arena.broker.Channel(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }()
	if err := ch.Confirm(false); err != nil {
		return fmt.Errorf("asking for confirms: %w", err)
	}
	var window []*amqp.DeferredConfirmation
	for key, body := range g.workload.Messages() {
		if len(window) == fillWindow {
			if err := confirmed(ctx, window[0]); err != nil {
				return err
			}
			window = window[1:]
		}
		confirm, err := ch.PublishWithDeferredConfirm(g.Topology.DatabaseExchange, "", false, false, amqp.Publishing{
			ContentType: "application/json", ContentEncoding: "utf-8",
			DeliveryMode: amqp.Persistent, MessageId: key.String(), Body: body,
		})
		if err != nil {
			return fmt.Errorf("filling the input queue: %w", err)
		}
		window = append(window, confirm)
	}
	for _, confirm := range window {
		if err := confirmed(ctx, confirm); err != nil {
			return err
		}
	}
	waiting, err := g.Waiting()
	if err == nil && waiting != g.workload.Count {
		err = fmt.Errorf("filling the input queue: %d of %d messages are in it", waiting, g.workload.Count)
	}
	return err
}

func confirmed(ctx context.Context, confirm *amqp.DeferredConfirmation) error {
	acked, err := confirm.WaitContext(ctx)
	if err != nil {
		return fmt.Errorf("filling the input queue: %w", err)
	}
	if !acked {
		return errors.New("filling the input queue: the broker did not take a message")
	}
	return nil
}
