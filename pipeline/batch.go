package pipeline

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/ThreeDotsLabs/watermill/message"

	"chat-messaging/handlers"
	"chat-messaging/middleware"
	"chat-messaging/queries"
)

// runBatch is the router's handler: it takes the batch that the outbox
// middleware has put into the context, runs the chain over it, and returns the
// events, which the outbox stores.
func (p *Pipeline) runBatch(carrier *message.Message) ([]*message.Message, error) {
	gathered := middleware.BatchFrom(carrier.Context())
	if gathered == nil {
		return nil, errors.New("the chain runs under the outbox middleware only")
	}
	items := make([]handlers.Item, len(gathered.Messages))
	b := &handlers.Batch{Tx: gathered.Tx, Items: make([]*handlers.Item, len(items))}
	for i, msg := range gathered.Messages {
		items[i].Payload = msg.Payload
		if d := DeliveryFrom(msg.Context()); d != nil {
			items[i].ContentEncoding, items[i].Redelivered = d.ContentEncoding, d.Redelivered
		}
		b.Items[i] = &items[i]
	}
	if err := p.handle(carrier.Context(), b); err != nil {
		return nil, err
	}
	held := 0
	for i, item := range b.Items {
		switch item.Verdict {
		case handlers.Failed:
			gathered.Fail(i, item.Failure)
		case handlers.Held:
			gathered.Hold(i)
			held++
		case handlers.Open:
			return nil, fmt.Errorf("the chain left a message open: %w", errUndecided)
		}
	}
	gathered.AfterCommit(func() {
		p.settled(b)
		p.tellHeld(held)
	})
	return b.Events, nil
}

var errUndecided = errors.New("no handler settled it")

// settled counts and logs a committed batch.
func (p *Pipeline) settled(b *handlers.Batch) {
	p.metrics.settled(b)
	for _, item := range b.Items {
		if item.Verdict == handlers.Rejected {
			p.cfg.Logger.Info("a message was rejected", "code", item.Rejection.Code, "policy", item.Policy,
				"sender_id", item.Message.SenderID, "chat_id", shorten(item.Message.ChatID, 64))
		}
	}
}

// tellHeld says once that messages wait for chats that somebody else has locked,
// and once that it is over.
func (p *Pipeline) tellHeld(held int) {
	if p.holding == (held > 0) {
		return
	}
	p.holding = held > 0
	if p.holding {
		p.cfg.Logger.Warn("somebody else has locked chats: their messages wait, others go on", "messages", held)
		return
	}
	p.cfg.Logger.Info("no message waits for a locked chat any more")
}

// outboxEvent reads what the outbox keeps of an event from its metadata.
func outboxEvent(msg *message.Message) (queries.OutboxEvent, error) {
	event := queries.OutboxEvent{Name: msg.Metadata.Get(handlers.MetadataType), Payload: msg.Payload}
	var err error
	if event.ID, err = handlers.EventKey(msg.UUID); err != nil {
		return event, err
	}
	if event.UserID, err = strconv.ParseInt(msg.Metadata.Get(handlers.MetadataUserID), 10, 64); err != nil {
		return event, fmt.Errorf("reading whom the event is for: %w", err)
	}
	if chat := msg.Metadata.Get(handlers.MetadataChatID); chat != "" {
		if event.ChatID, err = strconv.ParseInt(chat, 10, 64); err != nil {
			return event, fmt.Errorf("reading the event's chat: %w", err)
		}
	}
	return event, nil
}

// noPublisher stands where the router wants a publisher for a handler that
// returns messages. The outbox has taken all of them by then.
type noPublisher struct{}

// Publish implements message.Publisher; it always fails.
func (noPublisher) Publish(string, ...*message.Message) error {
	return errors.New("an event got past the outbox")
}

// Close implements message.Publisher.
func (noPublisher) Close() error { return nil }
