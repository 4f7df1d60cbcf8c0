package handlers

import (
	"context"
	"fmt"

	"chat-messaging/middleware/failpoint"
	"chat-messaging/queries"
)

// Persist stores the open messages of the batch at the next positions of their
// chats, in arrival order, and settles every one of them. Few messages are written
// with their events only, so that errors about them may come when it has returned.
//
// A message whose idempotency key is stored already, or came earlier in the same
// batch, is told apart by its content and by the broker's word: other content is
// rejected; the same content is a replay if the broker delivered it again, and
// otherwise a repeat by the client, which gets the stored event again.
//
// The insert is tried without looking for duplicates first, because there are
// hardly ever any. If it meets one the error, here or later, makes the whole batch
// begin anew, and then, and for a while after, the look-up comes first.
func Persist(ctx context.Context, b *Batch) error {
	p := persisting{batch: b, known: map[queries.Key]*queries.Message{}, seen: map[int64]struct{}{}}
	if err := p.find(ctx); err != nil {
		return fmt.Errorf("persisting: %w", err)
	}
	for _, item := range b.Items {
		if item.Verdict == Open {
			p.place(item)
		}
		p.touch(item)
	}
	var err error
	if b.Now, err = b.Tx.AdvanceChats(ctx, p.touched); err != nil {
		return fmt.Errorf("persisting: %w", err)
	}
	failpoint.Hit(failpoint.AfterLock)
	for _, m := range p.fresh {
		m.Seq += b.Chats[m.ChatID].LastSeq
		m.DeliveredAt = b.Now
	}
	if err := b.Tx.InsertMessages(ctx, p.fresh); err != nil {
		return fmt.Errorf("persisting: %w", err)
	}
	failpoint.Hit(failpoint.AfterInsert)
	return nil
}

// persisting is one batch on its way into the tables.
type persisting struct {
	batch   *Batch
	known   map[queries.Key]*queries.Message // stored before, or by this batch
	fresh   []*queries.Message
	touched []*queries.Chat
	seen    map[int64]struct{} // ids of touched
}

func keyOf(m *Message) queries.Key {
	return queries.Key{SenderID: m.SenderID, ClientMessageID: m.ClientMessageID}
}

// find looks for messages that are stored already, if there may be any.
func (p *persisting) find(ctx context.Context) error {
	look := p.batch.Tx.ExpectDuplicates()
	keys := make([]queries.Key, 0, len(p.batch.Items))
	for _, item := range p.batch.Items {
		if item.Verdict == Open {
			keys = append(keys, keyOf(&item.Message))
			look = look || item.Redelivered
		}
	}
	if !look {
		return nil
	}
	found, err := p.batch.Tx.FindMessages(ctx, keys)
	if err != nil {
		return err
	}
	p.known = found
	return nil
}

// place settles one item.
func (p *persisting) place(item *Item) {
	m := &item.Message
	key := keyOf(m)
	fingerprint := m.Fingerprint()
	if stored, ok := p.known[key]; ok {
		switch {
		case stored.Fingerprint != fingerprint:
			item.Reject(RejectDuplicated)
		case item.Redelivered:
			item.Verdict = Replayed
		default:
			item.Verdict, item.Stored = Repeated, stored
		}
		return
	}
	id, _ := m.ChatKey()
	chat := p.batch.Chats[id]
	chat.Taken++
	stored := &queries.Message{
		ChatID:          chat.ID,
		Seq:             chat.Taken, // and what comes before it, as soon as that is known
		SenderID:        m.SenderID,
		RecipientID:     m.RecipientID,
		Fingerprint:     fingerprint,
		ClientMessageID: m.ClientMessageID,
		SentAt:          m.SentAt,
		Body:            m.Body,
	}
	p.known[key] = stored
	p.fresh = append(p.fresh, stored)
	item.Verdict, item.Stored = Accepted, stored
}

// touch makes the chat of an item that has an event one of those that are locked,
// also where no position is taken: events leave in the order of their rows, and the
// lock keeps those of a chat in the order of its transactions.
func (p *persisting) touch(item *Item) {
	if item.Verdict != Accepted && item.Verdict != Repeated && item.Verdict != Rejected {
		return
	}
	id, ok := item.Message.ChatKey()
	if !ok {
		return
	}
	if _, again := p.seen[id]; again {
		return
	}
	if chat := p.batch.Chats[id]; chat != nil && !chat.Busy {
		p.seen[id] = struct{}{}
		p.touched = append(p.touched, chat)
	}
}
