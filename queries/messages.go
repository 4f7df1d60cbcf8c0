package queries

import (
	"context"
	"fmt"
	"time"

	"github.com/lib/pq/oid"
)

// Message is a stored message.
type Message struct {
	ChatID          int64
	Seq             int64
	SenderID        int64
	RecipientID     int64
	DeliveredAt     time.Time
	IsEdited        bool
	IsDeleted       bool
	Fingerprint     [16]byte
	ClientMessageID string
	SentAt          string
	Body            string
}

// Key is a message's idempotency key.
type Key struct {
	SenderID        int64
	ClientMessageID string
}

// expectDuplicatesFor is how many batches go on looking for duplicates first
// after one has met some: they come in bursts (a client that lost its connection
// sends again, a broker that did redelivers its window).
const expectDuplicatesFor = 64

// ExpectDuplicates tells whether FindMessages should be asked before inserting.
// It saves every batch a look-up that nearly always finds nothing: the insert
// finds out by itself, at the price of doing that one batch again.
func (t *Tx) ExpectDuplicates() bool {
	return t.writer.duplicates > 0
}

// The look-up is a scalar sub-select behind OFFSET 0, which the planner cannot
// turn into a join of its own choice: joined, it reads all of a table that it
// believes to be empty.
const findMessagesStatement = `
SELECT m.chat_id, m.seq, m.sender_id, m.recipient_id,
       (extract(epoch FROM m.delivered_at) * 1000000)::int8 AS delivered_us,
       m.is_edited, m.is_deleted, m.fingerprint, m.client_message_id, m.sent_at, m.body
FROM unnest($1::int8[], $2::text[]) AS k (sender_id, client_message_id)
CROSS JOIN LATERAL (
    SELECT * FROM messages
    WHERE messages.sender_id = k.sender_id AND messages.client_message_id = k.client_message_id
    OFFSET 0
) AS m`

// FindMessages returns the stored messages that have one of the keys.
func (t *Tx) FindMessages(ctx context.Context, keys []Key) (map[Key]*Message, error) {
	found := map[Key]*Message{}
	if t.writer.duplicates > 0 {
		t.writer.duplicates--
	}
	if len(keys) == 0 {
		return found, nil
	}
	senders, ids := &t.writer.arrays[0], &t.writer.arrays[1]
	senders.reset(oid.T_int8, len(keys), 8)
	ids.reset(oid.T_text, len(keys), 36)
	for _, k := range keys {
		senders.int8(k.SenderID)
		ids.text(k.ClientMessageID)
	}
	rows, err := t.QueryContext(ctx, findMessagesStatement, senders, ids)
	if err != nil {
		return nil, fmt.Errorf("looking for stored messages: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		m := &Message{}
		var deliveredMicros int64
		var fingerprint []byte
		if err := rows.Scan(&m.ChatID, &m.Seq, &m.SenderID, &m.RecipientID, &deliveredMicros,
			&m.IsEdited, &m.IsDeleted, &fingerprint, &m.ClientMessageID, &m.SentAt, &m.Body); err != nil {
			return nil, fmt.Errorf("looking for stored messages: %w", err)
		}
		m.DeliveredAt = time.UnixMicro(deliveredMicros).UTC()
		copy(m.Fingerprint[:], fingerprint)
		found[Key{m.SenderID, m.ClientMessageID}] = m
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("looking for stored messages: %w", err)
	}
	if len(found) > 0 {
		t.writer.duplicates = expectDuplicatesFor
	}
	return found, nil
}

// Without ON CONFLICT, which makes the server check every row twice: a tenth of
// what storing it costs. The insert waits for a transaction that is storing the
// same key and fails if that one commits, so it says as much.
//
// The arrays are taken apart in step, row by row; in FROM the server would gather
// all rows first.
const insertMessagesStatement = `
INSERT INTO messages (chat_id, seq, sender_id, recipient_id, delivered_at, fingerprint, client_message_id, sent_at, body)
SELECT unnest($1::int8[]), unnest($2::int8[]), unnest($3::int8[]), unnest($4::int8[]), $9::timestamptz,
       unnest($5::bytea[]), unnest($6::text[]), unnest($7::text[]), unnest($8::text[])`

// idempotencyConstraint is the key that InsertMessages meets a duplicate by.
const idempotencyConstraint = "messages_idempotency_key"

// alongBytes is up to which size messages go with their events. With more of them a
// round trip is nothing beside what they cost, and the driver builds a statement as
// one piece in memory.
const alongBytes = 64 << 10

// InsertMessages stores new messages, which all have the DeliveredAt of the
// first. Few of them are kept for the next statement: the one that puts their events
// into the outbox takes them along, which spares a round trip, and any other goes
// behind them. So an error of theirs may be that statement's, or the commit's. If one
// of their keys is stored already it is one that Classify calls a conflict; the
// transaction is to be rolled back and done again, and ExpectDuplicates will say so.
func (t *Tx) InsertMessages(ctx context.Context, messages []*Message) error {
	if err := t.open(); err != nil {
		return err
	}
	if len(messages) == 0 {
		return nil
	}
	if err := t.insertKept(ctx); err != nil {
		return err
	}
	kept := &t.writer.messages
	kept.keep(messages)
	if kept.bytes() > alongBytes {
		return t.insertKept(ctx)
	}
	return nil
}

// insertKept inserts the messages that were kept, by themselves.
func (t *Tx) insertKept(ctx context.Context) error {
	kept := &t.writer.messages
	if kept.n == 0 {
		return nil
	}
	stmt, err := t.session.prepared(ctx, insertMessagesStatement)
	if err != nil {
		return err
	}
	if _, err := stmt.ExecContext(ctx, kept.take()...); err != nil {
		return t.insertError(err)
	}
	return nil
}

// messageArrays are messages on their way to the database.
type messageArrays struct {
	arrays      [8]array
	deliveredAt time.Time
	n           int
}

func (k *messageArrays) keep(messages []*Message) {
	a := &k.arrays
	for i, element := range []struct {
		oid  oid.Oid
		size int
	}{
		{oid.T_int8, 8},
		{oid.T_int8, 8},
		{oid.T_int8, 8},
		{oid.T_int8, 8},
		{oid.T_bytea, 16},
		{oid.T_text, 36},
		{oid.T_text, 27},
		{oid.T_text, 64},
	} {
		a[i].reset(element.oid, len(messages), element.size)
	}
	for _, m := range messages {
		a[0].int8(m.ChatID)
		a[1].int8(m.Seq)
		a[2].int8(m.SenderID)
		a[3].int8(m.RecipientID)
		a[4].bytes(m.Fingerprint[:])
		a[5].text(m.ClientMessageID)
		a[6].text(m.SentAt)
		a[7].text(m.Body)
	}
	k.deliveredAt, k.n = messages[0].DeliveredAt, len(messages)
}

// bytes is how much there is of them.
func (k *messageArrays) bytes() int {
	sum := 0
	for i := range k.arrays {
		sum += len(k.arrays[i].buf)
	}
	return sum
}

// take returns the arguments of insertMessagesStatement, and keeps nothing any more.
func (k *messageArrays) take() []any {
	args := make([]any, 0, len(k.arrays)+3)
	for i := range k.arrays {
		args = append(args, &k.arrays[i])
	}
	k.n = 0
	return append(args, k.deliveredAt)
}
