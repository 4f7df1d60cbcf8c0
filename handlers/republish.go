package handlers

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
)

// Republish returns the last handler of the chain: it turns the outcome of each
// item into its event, in arrival order. Replayed and failed items have none.
func Republish(marshaler cqrs.CommandEventMarshaler) Handler {
	return func(_ context.Context, b *Batch) error {
		for _, item := range b.Items {
			event := eventOf(b, item)
			if event == nil {
				continue
			}
			msg, err := marshaler.Marshal(event)
			if err != nil {
				return fmt.Errorf("republishing: %w", err)
			}
			b.Events = append(b.Events, msg)
		}
		return nil
	}
}

func eventOf(b *Batch, item *Item) any {
	switch item.Verdict {
	case Accepted, Repeated:
		return NewDelivered(item.Stored)
	case Rejected:
		return NewRejected(item.Message, item.Payload, item.Rejection, b.Now)
	default:
		return nil
	}
}
