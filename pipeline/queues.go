package pipeline

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// CountQueue asks the broker how many messages of a queue are ready and how
// many consumers it has. It needs no more rights than a consumer. The connection
// must not be one that publishes: under an alarm that is not read from, and the
// question would end it.
func CountQueue(ctx context.Context, conn *Connection, queue string) (messages, consumers int, err error) {
	ch, err := conn.Channel(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = conn.closeChannel(ctx, ch) }()
	var q amqp.Queue
	err = conn.await(ctx, func() (err error) {
		q, err = ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("counting queue %q: %w", queue, err)
	}
	return q.Messages, q.Consumers, nil
}
