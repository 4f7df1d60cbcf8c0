package pipeline

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// The types of queue that the service can create.
const (
	QueueClassic = "classic"
	QueueQuorum  = "quorum"
)

// Topology names the exchanges and queues that the service uses:
//
//	DatabaseExchange ──""──▶ DatabaseQueue ┄┄ dead letters ┄┄▶ PoisonQueue
//	DeliveryExchange ──▶ the dispatchers' own queues
//
// Whatever exists is used as it is, whatever its arguments: it usually comes
// from a definitions file of the broker. What is missing is created if Declare
// is on, and is an error otherwise.
type Topology struct {
	DatabaseExchange string
	DatabaseQueue    string
	PoisonQueue      string
	DeliveryExchange string
	// QueueType is QueueQuorum or QueueClassic, for queues that we create.
	QueueType string
	Declare   bool
}

// ErrMissing is returned for an exchange or queue that does not exist and may
// not be created.
var ErrMissing = errors.New("does not exist, and AMQP_DECLARE is off")

// ErrNoExchange is returned by FindExchange.
var ErrNoExchange = errors.New("there is no such exchange")

// EnsureInput looks for the exchange and queue of the incoming messages and for
// the poison queue.
func (t Topology) EnsureInput(ctx context.Context, conn *Connection) error {
	// The poison queue comes first: it is where the other's dead letters go.
	if err := t.EnsurePoison(ctx, conn); err != nil {
		return err
	}
	if err := t.ensureExchange(ctx, conn, t.DatabaseExchange); err != nil {
		return err
	}
	if err := t.ensureQueue(ctx, conn, t.DatabaseQueue, t.inputArguments()); err != nil {
		return err
	}
	if !t.Declare {
		return nil
	}
	return onFreshChannel(ctx, conn, func(ch *amqp.Channel) error {
		if err := ch.QueueBind(t.DatabaseQueue, "", t.DatabaseExchange, false, nil); err != nil {
			return fmt.Errorf("binding queue %q to exchange %q: %w", t.DatabaseQueue, t.DatabaseExchange, err)
		}
		return nil
	})
}

// EnsurePoison looks for the poison queue.
func (t Topology) EnsurePoison(ctx context.Context, conn *Connection) error {
	return t.ensureQueue(ctx, conn, t.PoisonQueue, amqp.Table{"x-queue-type": t.QueueType})
}

// EnsureDelivery looks for the exchange of the outgoing events.
func (t Topology) EnsureDelivery(ctx context.Context, conn *Connection) error {
	return t.ensureExchange(ctx, conn, t.DeliveryExchange)
}

// inputArguments are those of an input queue that we create.
func (t Topology) inputArguments() amqp.Table {
	args := amqp.Table{
		"x-queue-type": t.QueueType,
		// Only the broker itself dead-letters here (we never reject), and what it
		// drops must not be lost.
		"x-dead-letter-exchange":    "",
		"x-dead-letter-routing-key": t.PoisonQueue,
	}
	if t.QueueType == QueueQuorum {
		// A quorum queue does not enforce an exclusive consumer.
		args["x-single-active-consumer"] = true
		// Every return of an unacknowledged message counts, and an outage returns
		// a whole window; the default of RabbitMQ 4 would dead-letter healthy
		// messages after twenty of them.
		args["x-delivery-limit"] = int32(1_000_000)
	}
	return args
}

// FindExchange looks for an exchange of any type, and creates none. It returns an
// error that is ErrNoExchange if there is none of that name.
func FindExchange(ctx context.Context, conn *Connection, name string) error {
	if name == "" {
		return nil // the default exchange is always there, and may not be declared
	}
	err := onFreshChannel(ctx, conn, func(ch *amqp.Channel) error {
		return ch.ExchangeDeclarePassive(name, amqp.ExchangeDirect, true, false, false, false, nil)
	})
	if isNotFound(err) {
		return fmt.Errorf("%w: %q", ErrNoExchange, name)
	}
	if err != nil {
		return fmt.Errorf("looking for exchange %q: %w", name, err)
	}
	return nil
}

func (t Topology) ensureExchange(ctx context.Context, conn *Connection, name string) error {
	err := onFreshChannel(ctx, conn, func(ch *amqp.Channel) error {
		return ch.ExchangeDeclarePassive(name, amqp.ExchangeDirect, true, false, false, false, nil)
	})
	if err == nil {
		return nil
	}
	if !isNotFound(err) {
		return fmt.Errorf("looking for exchange %q: %w", name, err)
	}
	if !t.Declare {
		return fmt.Errorf("exchange %q %w", name, ErrMissing)
	}
	err = onFreshChannel(ctx, conn, func(ch *amqp.Channel) error {
		return ch.ExchangeDeclare(name, amqp.ExchangeDirect, true, false, false, false, nil)
	})
	if err != nil {
		return fmt.Errorf("creating exchange %q: %w", name, err)
	}
	return nil
}

func (t Topology) ensureQueue(ctx context.Context, conn *Connection, name string, args amqp.Table) error {
	err := onFreshChannel(ctx, conn, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
		return err
	})
	if err == nil {
		return nil
	}
	if !isNotFound(err) {
		return fmt.Errorf("looking for queue %q: %w", name, err)
	}
	if !t.Declare {
		return fmt.Errorf("queue %q %w", name, ErrMissing)
	}
	// If somebody created it just now with other arguments the broker's text
	// names the argument and both values.
	err = onFreshChannel(ctx, conn, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(name, true, false, false, false, args)
		return err
	})
	if err != nil {
		return fmt.Errorf("creating queue %q: %w", name, err)
	}
	return nil
}

// onFreshChannel runs fn on a channel of its own, because a declaration that
// fails closes the channel it was made on.
func onFreshChannel(ctx context.Context, conn *Connection, fn func(*amqp.Channel) error) error {
	ch, err := conn.Channel(ctx)
	if err != nil {
		return err
	}
	if err := fn(ch); err != nil {
		_ = ch.Close()
		return err
	}
	if err := ch.Close(); err != nil {
		return fmt.Errorf("closing a channel: %w", err)
	}
	return nil
}

func isNotFound(err error) bool { return hasCode(err, amqp.NotFound) }

func hasCode(err error, code int) bool {
	var amqpErr *amqp.Error
	return errors.As(err, &amqpErr) && amqpErr.Code == code
}
