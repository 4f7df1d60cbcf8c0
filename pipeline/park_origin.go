package pipeline

import (
	"strconv"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
)

// origin says which poisoned message a delivery is.
type origin struct {
	id         uuid.UUID
	attempt    int32 // the replay that it is, 0 for a message that was not replayed
	generation int32 // how often it was delivered before
}

// originOf reads it from the headers of a replay. Any other delivery gets an id
// that is the same for as long as it is tried to park it, and that no other
// delivery has, be it equal to the octet: two equal messages are two.
func originOf(d *amqp.Delivery, received time.Time) origin {
	o := origin{generation: int32(min(DeliveredBefore(d), 1<<30))} //nolint:gosec // bounded
	if text, ok := d.Headers[HeaderPoisonID].(string); ok {
		id, err := uuid.Parse(text)
		if attempt, ok := d.Headers[HeaderReplayCount].(int32); err == nil && ok && attempt > 0 {
			o.id, o.attempt = id, attempt
			return o
		}
	}
	name := strconv.AppendInt(nil, received.UnixNano(), 10)
	name = strconv.AppendUint(append(name, 0), d.DeliveryTag, 10)
	name = append(append(name, 0), d.ConsumerTag...)
	name = append(append(append(name, 0), d.Exchange...), 0)
	name = append(append(append(name, d.RoutingKey...), 0), d.Body...)
	o.id = uuid.NewSHA1(poisonNamespace, name)
	return o
}

// DeliveredBefore counts the earlier deliveries of a delivery: exactly where the
// queue does, as quorum queues do, and as one or none elsewhere.
func DeliveredBefore(d *amqp.Delivery) int {
	count := 0
	if d.Redelivered {
		count = 1
	}
	for _, key := range []string{"x-delivery-count", "x-acquired-count"} {
		switch n := d.Headers[key].(type) {
		case int64:
			count = max(count, int(n))
		case int32:
			count = max(count, int(n))
		}
	}
	return count
}
