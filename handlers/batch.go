package handlers

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"chat-messaging/queries"
)

// Handler is one link of the chain. It settles items of the batch; see the
// package comment for what it may do. It is called by one goroutine at a time.
type Handler func(ctx context.Context, b *Batch) error

// Batch is the deliveries of one transaction, in arrival order.
type Batch struct {
	// Items in arrival order. Handlers settle them and neither add nor remove.
	Items []*Item
	// Tx is the open transaction. Nothing done through it is visible before the
	// whole chain has succeeded.
	Tx *queries.Tx
	// Now is the time of the decision by the database's clock, so that it does
	// not depend on which replica decided. Set by persist.
	Now time.Time
	// Chats are the chats named by the batch's open items. Persist locks those
	// that get messages or events until the end of the transaction. Set by
	// authorize.
	Chats map[int64]*queries.Chat
	// Events are what the batch announces, in order; they are stored with its
	// work and dispatched once it is committed. Set by republish.
	Events []*message.Message
}

// Item is one delivery on its way through the chain.
type Item struct {
	// Payload is the delivery's body, untouched. It must not be modified.
	Payload []byte
	// ContentEncoding is the delivery's property of that name.
	ContentEncoding string
	// Redelivered says that the broker may have delivered it before. False is
	// certain, true is a hint.
	Redelivered bool

	// Message is the decoded payload; set by validate. Of a rejected or failed
	// message it holds what could be read.
	Message Message
	// Stored is the message as it stands in the table; set by persist for
	// accepted and repeated items.
	Stored *queries.Message

	Verdict   Verdict
	Rejection Rejection
	Failure   *Failure
	// Policy is the id of the policy that decided; set by authorize, for the log.
	Policy string
}

// Reject settles the item: its sender is told why.
func (i *Item) Reject(r Rejection) {
	i.Verdict, i.Rejection = Rejected, r
}

// Fail settles the item: it goes to the poison queue.
func (i *Item) Fail(stage, code, detail string) {
	i.Verdict, i.Failure = Failed, &Failure{Stage: stage, Code: code, Detail: detail}
}

// reset makes a batch that was rolled back ready to be decided anew.
func (i *Item) reset() {
	i.Message, i.Stored, i.Verdict = Message{}, nil, Open
	i.Rejection, i.Failure, i.Policy = Rejection{}, nil, ""
}

// Each turns a function of one message into a Handler: it is called for every
// open item, in arrival order. Its error is the batch's error.
func Each(fn func(ctx context.Context, b *Batch, i *Item) error) Handler {
	return func(ctx context.Context, b *Batch) error {
		for _, item := range b.Items {
			if item.Verdict != Open {
				continue
			}
			if err := fn(ctx, b, item); err != nil {
				return err
			}
		}
		return nil
	}
}

// Chain runs handlers in order over the same batch, from a clean start: a batch
// that was rolled back is decided anew.
func Chain(chain ...Handler) Handler {
	return func(ctx context.Context, b *Batch) error {
		b.Now, b.Chats, b.Events = time.Time{}, nil, nil
		for _, item := range b.Items {
			item.reset()
		}
		for _, handle := range chain {
			if err := handle(ctx, b); err != nil {
				return err
			}
		}
		return nil
	}
}
