package pipeline

import (
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/handlers"
)

// The fuzz test reaches in here because through a broker it would try a thousandth
// as much.

// PoisonCopy is what a delivery becomes in the poison queue, and why it could not
// be published, if it could not.
func PoisonCopy(d *amqp.Delivery, failure *handlers.Failure) (amqp.Publishing, error) {
	p := parked{delivery: d, failure: failure, queue: "queue", firstSeen: time.Unix(0, 0)}
	headers := p.headers()
	copied := amqp.Publishing{Headers: headers, DeliveryMode: amqp.Persistent, Body: d.Body}
	return copied, checkPublishing("queue.poison", &copied)
}

// HeaderOctets is an upper bound of what headers take on the wire.
func HeaderOctets(headers amqp.Table) int { return tableSize(headers) }
