package middleware

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"

	"chat-messaging/queries"
)

// Batch is the messages that share one transaction, in arrival order. A handler
// under the Outbox finds it in its message's context: that message only carries
// the batch and has no payload of its own.
type Batch struct {
	// Messages in arrival order; not to be acknowledged by the handler.
	Messages []*message.Message
	// Tx is the open transaction.
	Tx *queries.Tx

	verdicts    []error
	held        map[int]struct{}
	busy        map[int64]struct{} // chats to pass; nil: wait for their locks
	afterCommit []func()
}

// Fail settles a message with a permanent error: it will be returned to the
// middleware outside, and the rest of the batch goes on. Nothing of what was
// written for it is undone.
func (b *Batch) Fail(i int, err error) {
	b.verdicts[i] = err
}

// Hold leaves a message for a later batch, in which it comes before all that have
// arrived since. Whoever holds a message holds those of the same chat behind it
// too, or they overtake it.
func (b *Batch) Hold(i int) {
	if b.held == nil {
		b.held = map[int]struct{}{}
	}
	b.held[i] = struct{}{}
}

// AfterCommit calls fn once the transaction is committed, and not if it is
// rolled back.
func (b *Batch) AfterCommit(fn func()) {
	b.afterCommit = append(b.afterCommit, fn)
}

func (b *Batch) begin(tx *queries.Tx) {
	b.Tx = tx
	b.verdicts = make([]error, len(b.Messages))
	b.afterCommit, b.held = nil, nil
	if b.busy != nil {
		tx.PassLocked(b.busy)
	}
}

type batchKey struct{}

// BatchFrom returns the batch that the context carries, nil if it has none.
func BatchFrom(ctx context.Context) *Batch {
	b, _ := ctx.Value(batchKey{}).(*Batch)
	return b
}

func withBatch(ctx context.Context, b *Batch) context.Context {
	return context.WithValue(ctx, batchKey{}, b)
}
