package arena

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// fillWindow is how many publishings of the filling are under way at a time.
const fillWindow = 1000

// Fill puts all messages of the workload into the input queue, persistent and
// confirmed.
func (g *Ground) Fill(ctx context.Context) error {
	ch, err := g.arena.broker.Channel(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }()
	if err := ch.Confirm(false); err != nil {
		return fmt.Errorf("asking for confirms: %w", err)
	}
	var window []*amqp.DeferredConfirmation
	for m := range g.workload.Messages() {
		if len(window) == fillWindow {
			if err := confirmed(ctx, window[0]); err != nil {
				return err
			}
			window = window[1:]
		}
		confirm, err := ch.PublishWithDeferredConfirm(g.Topology.DatabaseExchange, "", false, false, publishing(m))
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
	return nil
}

func publishing(m Message) amqp.Publishing {
	return amqp.Publishing{
		ContentType: "application/json", ContentEncoding: "utf-8",
		DeliveryMode: amqp.Persistent, MessageId: m.Key.String(), Body: m.Payload,
	}
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
