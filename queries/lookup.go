package queries

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"
)

// The look-ups are for operators. None of them has an index of its own, because
// each index on messages costs the pipeline a tenth of its throughput; so they
// ask only what the two that exist can answer.
const (
	lookUpColumns = `
SELECT m.chat_id, m.seq, m.sender_id, m.recipient_id,
       (extract(epoch FROM m.delivered_at) * 1000000)::int8 AS delivered_us,
       m.is_edited, m.is_deleted, m.client_message_id, m.sent_at, m.body`
	// As in findMessagesStatement, OFFSET 0 leaves the planner one plan: a descent
	// of the unique index for each sender.
	findSentStatement = lookUpColumns + `
FROM unnest($1::int8[]) AS k (sender_id)
CROSS JOIN LATERAL (
    SELECT chat_id, seq, sender_id, recipient_id, delivered_at, is_edited, is_deleted, client_message_id, sent_at, body
    FROM messages
    WHERE messages.sender_id = k.sender_id AND messages.client_message_id = $2
    OFFSET 0
) AS m
ORDER BY m.chat_id, m.seq`
	latestOfSenderStatement = lookUpColumns + `
FROM messages AS m
WHERE m.sender_id = $1
ORDER BY m.delivered_at DESC, m.chat_id DESC, m.seq DESC
LIMIT $2`
	latestOfSenderInChatStatement = lookUpColumns + `
FROM messages AS m
WHERE m.chat_id = $3 AND m.sender_id = $1
ORDER BY m.chat_id DESC, m.seq DESC
LIMIT $2`
)

// FindSent returns the messages that the senders have sent under the client's
// id: at most one each. The index starts with the sender; by the client's id alone
// the whole table would have to be read, so at least the candidates must be
// known, for instance the members of the chat.
func (r *Reader) FindSent(ctx context.Context, senders []int64, clientMessageID string) ([]Message, error) {
	return r.lookUp(ctx, findSentStatement, pq.Array(senders), clientMessageID)
}

// LatestOfSender returns what the sender has sent last, the newest first, in
// the chat, or in any if that is 0. The latter reads everything that the sender
// has ever sent: a second or two for a hundred thousand messages, and an error
// beyond the deadline. In a chat it reads back until it has enough.
func (r *Reader) LatestOfSender(ctx context.Context, sender, chat int64, limit int) ([]Message, error) {
	if chat != 0 {
		return r.lookUp(ctx, latestOfSenderInChatStatement, sender, int64(limit), chat)
	}
	return r.lookUp(ctx, latestOfSenderStatement, sender, int64(limit))
}

func (r *Reader) lookUp(ctx context.Context, statement string, args ...any) ([]Message, error) {
	return within(ctx, r, func(ctx context.Context) ([]Message, error) {
		list := []Message{}
		err := r.each(ctx, statement, args, func(rows *sql.Rows) error {
			var m Message
			var micros int64
			if err := rows.Scan(&m.ChatID, &m.Seq, &m.SenderID, &m.RecipientID, &micros,
				&m.IsEdited, &m.IsDeleted, &m.ClientMessageID, &m.SentAt, &m.Body); err != nil {
				return err
			}
			m.DeliveredAt = time.UnixMicro(micros).UTC()
			list = append(list, m)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("looking a message up: %w", err)
		}
		return list, nil
	})
}

// outboxSearched bounds the search for an event, in rows, which has no index: the
// outbox is nearly empty unless dispatch has been down for long.
const outboxSearched = 25_000

const findOutboxStatement = `
WITH head AS MATERIALIZED (
    SELECT id, created_at,
           event_id IS NOT DISTINCT FROM $1::uuid
           OR strpos(E'\n' || events, E'\n' || replace($1::text, '-', '') || E'\t') > 0 AS holds
    FROM outbox
    ORDER BY id
    LIMIT $2::int8 + 1
)
SELECT id, (extract(epoch FROM created_at) * 1000000)::int8 AS created_us, 0::int8 AS searched FROM head WHERE holds
UNION ALL
SELECT 0, 0, count(*) FROM head`

// Waiting is what the outbox says of an event.
type Waiting struct {
	// Rows wait for their dispatch; the event is in each of them. None: it is
	// dispatched and confirmed, provided that Complete.
	Rows []WaitingRow
	// Complete is false if the outbox is too long to be searched to its end.
	Complete bool
}

// WaitingRow is a row of the outbox.
type WaitingRow struct {
	ID        int64
	CreatedAt time.Time
}

// FindOutbox looks for an event among those that wait.
func (r *Reader) FindOutbox(ctx context.Context, eventID uuid.UUID) (Waiting, error) {
	return within(ctx, r, func(ctx context.Context) (Waiting, error) {
		var w Waiting
		err := r.each(ctx, findOutboxStatement, []any{eventID, int64(outboxSearched)}, func(rows *sql.Rows) error {
			var row WaitingRow
			var micros, searched int64
			if err := rows.Scan(&row.ID, &micros, &searched); err != nil {
				return err
			}
			if row.ID == 0 {
				w.Complete = searched <= outboxSearched
				return nil
			}
			row.CreatedAt = time.UnixMicro(micros).UTC()
			w.Rows = append(w.Rows, row)
			return nil
		})
		if err != nil {
			return Waiting{}, fmt.Errorf("looking for an event in the outbox: %w", err)
		}
		return w, nil
	})
}
