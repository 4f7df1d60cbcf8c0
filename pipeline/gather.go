package pipeline

import (
	"context"
	"runtime"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/middleware"
	"chat-messaging/middleware/failpoint"
)

// A group is worth its while up to about maxGroup deliveries: what each of them
// saves is gained by then, and a smaller one opens its part of the window
// sooner. Above maxGroupBytes what a message costs beside its bytes matters
// little.
const (
	maxGroup      = 64
	maxGroupBytes = 256 << 10
)

// admit makes a message of the delivery and of others that have arrived, and its
// place in the window.
func (w *window) admit(d amqp.Delivery, deliveries <-chan amqp.Delivery) (*message.Message, slot, error) {
	w.arrived = append(w.arrived[:0], d)
	bytes := w.gather(len(d.Body), deliveries)
	defer clear(w.arrived)
	for i := range w.arrived {
		failpoint.Hit(failpoint.AfterDeliver)
		if failpoint.Mutated(failpoint.AckBeforeCommit) {
			_ = w.arrived[i].Ack(false)
		}
	}
	msg, dc, err := w.toMessage(w.arrived)
	if err != nil {
		return nil, slot{}, err
	}
	if w.cfg.Arrivals != nil {
		dc.ticket = w.cfg.Arrivals.Issue()
	}
	msg.SetContext(dc)
	w.cfg.Connection.intake.take(bytes)
	last := w.arrived[len(w.arrived)-1].DeliveryTag
	return msg, slot{msg: msg, tag: last, size: len(w.arrived), bytes: bytes, delivery: dc}, nil
}

// gather adds deliveries that have arrived already, up to a group and as far as
// the window has room, and returns how many bytes all have. The client library
// passes them on one by one, from a goroutine that has to run in between; so that
// nothing is there is only believed after it had the chance.
func (w *window) gather(bytes int, deliveries <-chan amqp.Delivery) int {
	yielded := false
	for len(w.arrived) < w.cfg.Group && bytes < maxGroupBytes {
		select {
		case w.inFlight <- struct{}{}:
		default:
			return bytes
		}
		select {
		case d, ok := <-deliveries:
			if ok && d.Acknowledger != nil {
				w.arrived, yielded = append(w.arrived, d), false
				bytes += len(d.Body)
				continue
			}
			<-w.inFlight
			if !ok {
				return bytes // the pump meets the end again
			}
		default:
			<-w.inFlight
			if yielded {
				return bytes
			}
			runtime.Gosched()
			yielded = true
		}
	}
	return bytes
}

// toMessage makes one message of the deliveries: of a single one the message that
// it is, of several one that carries them.
func (w *window) toMessage(arrived []amqp.Delivery) (*message.Message, *deliveryContext, error) {
	now := time.Now()
	if len(arrived) == 1 {
		d := arrived[0]
		msg, err := w.cfg.Marshaler.Unmarshal(d)
		return msg, &deliveryContext{window: w.ctx, arrival: arrival{&d, now}}, err
	}
	dc := &deliveryContext{window: w.ctx, arrival: arrival{received: now}, members: make([]*message.Message, len(arrived))}
	// One allocation for what all of them have: that is what a group is for.
	members := make([]member, len(arrived))
	for i := range members {
		m := &members[i]
		m.delivery = arrived[i]
		m.ctx = memberContext{deliveryContext: dc, arrival: arrival{&m.delivery, now}}
		// Without the channels of message.NewMessage: nobody acknowledges a member.
		m.msg.UUID, m.msg.Payload, m.msg.Metadata = idOf(&m.delivery), m.delivery.Body, metadataOf(&m.delivery)
		m.msg.SetContext(&m.ctx)
		dc.members[i] = &m.msg
	}
	return message.NewMessage(members[0].msg.UUID, nil), dc, nil
}

// member is a delivery that travels in a group.
type member struct {
	msg      message.Message
	ctx      memberContext
	delivery amqp.Delivery
}

// memberContext is the context of a member: it ends with its group.
type memberContext struct {
	*deliveryContext
	arrival arrival
}

var _ context.Context = (*memberContext)(nil)

// Value implements context.Context.
func (c *memberContext) Value(key any) any {
	switch key {
	case deliveryKey{}:
		return &c.arrival
	case middleware.GroupKey(), middleware.TicketKey():
		return nil // the group's, not its member's
	}
	return c.deliveryContext.Value(key)
}
