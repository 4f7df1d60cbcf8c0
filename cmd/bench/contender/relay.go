package contender

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"
)

// relay copies messages from the input queue to the delivery exchange:
//
//	consume, prefetch ──▶ publish ──▶ confirms, in order ──▶ ack several at once
//
// It publishes on a connection of its own, as the service does.
type relay struct {
	in, out    *amqp.Channel
	exchange   string
	deliveries <-chan amqp.Delivery
	// published are the messages that wait for their confirm, in order. It has
	// room for a whole window, so writing to it never blocks.
	published chan published
}

type published struct {
	confirm *amqp.DeferredConfirmation
	tag     uint64
}

// consumerTag names the only consumer of the channel.
const consumerTag = "relay"

func runRelay(ctx context.Context, setup Setup, _ *slog.Logger) error {
	consume, in, err := open(setup.Broker)
	if err != nil {
		return err
	}
	defer func() { _ = consume.Close() }()
	publish, out, err := open(setup.Broker)
	if err != nil {
		return err
	}
	defer func() { _ = publish.Close() }()

	if err := out.Confirm(false); err != nil {
		return fmt.Errorf("asking for confirms: %w", err)
	}
	if err := in.Qos(setup.Relay.Prefetch, 0, false); err != nil {
		return fmt.Errorf("setting the prefetch: %w", err)
	}
	r := &relay{
		in: in, out: out, exchange: setup.DeliveryExchange,
		published: make(chan published, setup.Relay.Prefetch),
	}
	if r.deliveries, err = in.Consume(setup.InputQueue, consumerTag, false, false, false, false, nil); err != nil {
		return fmt.Errorf("consuming: %w", err)
	}
	return r.run(ctx)
}

func open(broker string) (*amqp.Connection, *amqp.Channel, error) {
	conn, err := amqp.Dial(broker)
	if err != nil {
		return nil, nil, fmt.Errorf("connecting to the broker: %w", err)
	}
	ch, err := conn.Channel()
	if err != nil {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("opening a channel: %w", err)
	}
	return conn, ch, nil
}

func (r *relay) run(ctx context.Context) error {
	parts, stopped := errgroup.WithContext(ctx)
	parts.Go(func() error {
		<-stopped.Done()
		// The library then closes the deliveries, which ends the others in turn.
		if err := r.in.Cancel(consumerTag, false); err != nil {
			return fmt.Errorf("ending the consumer: %w", err)
		}
		return nil
	})
	parts.Go(func() error { return r.forward(stopped) })
	parts.Go(r.acknowledge)
	err := parts.Wait()
	// Waits until the broker has taken the acknowledgements.
	return errors.Join(err, r.in.Close())
}

// forward publishes whatever is delivered, until the consumer ends.
func (r *relay) forward(ctx context.Context) error {
	defer close(r.published)
	for d := range r.deliveries {
		confirm, err := r.out.PublishWithDeferredConfirm(r.exchange, "", false, false, amqp.Publishing{
			ContentType: d.ContentType, ContentEncoding: d.ContentEncoding,
			DeliveryMode: amqp.Persistent, MessageId: d.MessageId, Body: d.Body,
		})
		if err != nil {
			return fmt.Errorf("publishing: %w", err)
		}
		r.published <- published{confirm, d.DeliveryTag}
	}
	if ctx.Err() == nil {
		return errors.New("the broker ended the consumer")
	}
	return nil
}

// acknowledge acknowledges what is confirmed, several at once: whenever no more
// is waiting, and a quarter of the window at most, so that the broker goes on
// delivering meanwhile.
func (r *relay) acknowledge() error {
	most := max(cap(r.published)/4, 1)
	unacknowledged := 0
	for p := range r.published {
		if !p.confirm.Wait() {
			return errors.New("the broker did not take a message")
		}
		if unacknowledged++; unacknowledged < most && len(r.published) > 0 {
			continue
		}
		if err := r.in.Ack(p.tag, true); err != nil {
			return fmt.Errorf("acknowledging: %w", err)
		}
		unacknowledged = 0
	}
	return nil
}
