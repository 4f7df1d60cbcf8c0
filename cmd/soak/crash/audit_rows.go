package crash

import (
	"context"
	"fmt"
)

// row is a stored message.
type row struct {
	ChatID      int64  `db:"chat_id"`
	Seq         int64  `db:"seq"`
	SenderID    int64  `db:"sender_id"`
	RecipientID int64  `db:"recipient_id"`
	ID          string `db:"client_message_id"`
	SentAt      string `db:"sent_at"`
	Body        string `db:"body"`
}

const rowsStatement = `
SELECT chat_id, seq, sender_id, recipient_id, client_message_id, sent_at, body FROM messages ORDER BY chat_id, seq`

// auditRows holds the table against the script, and returns the rows by their
// key, which is unique over all senders of a script.
func (r *Run) auditRows(ctx context.Context, a *Audit, entries []*Entry) (map[string]*row, error) {
	goods := map[string]*Entry{}
	for _, e := range entries {
		if e.Kind == Good {
			goods[e.ID] = e
		}
	}
	found := map[string]*row{}
	results, err := r.ground.db.QueryxContext(ctx, rowsStatement)
	if err != nil {
		return nil, fmt.Errorf("reading the messages: %w", err)
	}
	defer func() { _ = results.Close() }()
	last := map[int64]int64{} // seq by chat
	place := map[int64]int{}  // in the order of sending, by chat
	stored := map[int64]int{} // rows by chat
	for results.Next() {
		m := &row{}
		if err := results.StructScan(m); err != nil {
			return nil, fmt.Errorf("reading the messages: %w", err)
		}
		if m.Seq != last[m.ChatID]+1 {
			a.violated(I3, "in chat %d position %d comes behind %d", m.ChatID, m.Seq, last[m.ChatID])
		}
		last[m.ChatID] = m.Seq
		stored[m.ChatID]++
		e := goods[m.ID]
		if e == nil || !r.isOf(m, e) {
			a.violated(I1, "a row that must not be: %+v", *m)
			continue
		}
		if found[m.ID] != nil {
			a.StoredTwice++
			a.violated(I2, "message %s of user %d is at position %d and at %d", m.ID, m.SenderID, found[m.ID].Seq, m.Seq)
			continue
		}
		found[m.ID] = m
		if e.Seq < place[m.ChatID] {
			a.OutOfOrder++
			a.violated(I4, "in chat %d message %d is stored behind message %d", m.ChatID, e.Seq, place[m.ChatID])
		}
		place[m.ChatID] = e.Seq
	}
	if err := results.Err(); err != nil {
		return nil, fmt.Errorf("reading the messages: %w", err)
	}
	return found, r.auditChats(ctx, a, stored)
}

// isOf tells whether the row is what the message must have become.
func (r *Run) isOf(m *row, e *Entry) bool {
	return m.ChatID == r.ground.chats[e.Chat].ID && m.SenderID == e.Sender && m.RecipientID == e.Recipient &&
		m.SentAt == sentAt && m.Body == e.Body
}

// auditChats checks that each chat has handed out as many positions as it has
// messages.
func (r *Run) auditChats(ctx context.Context, a *Audit, stored map[int64]int) error {
	var chats []struct {
		ID      int64 `db:"id"`
		LastSeq int   `db:"last_seq"`
	}
	if err := r.ground.db.SelectContext(ctx, &chats, "SELECT id, last_seq FROM chats"); err != nil {
		return fmt.Errorf("reading the chats: %w", err)
	}
	for _, c := range chats {
		if c.LastSeq != stored[c.ID] {
			a.violated(I3, "chat %d has handed out %d positions for %d messages", c.ID, c.LastSeq, stored[c.ID])
		}
	}
	return nil
}
