package queries

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// Window names a run of a chat's messages, counted in positions.
type Window struct {
	// Direction is which way from the anchor the run goes.
	Direction Direction
	// Anchor is the position to start at. Older and Newer leave it out itself.
	Anchor int64
	// Limit is the most messages to return.
	Limit int
}

// Direction is the way a Window goes from its anchor.
type Direction uint8

const (
	// Older messages than the anchor, the nearest of them.
	Older Direction = iota
	// Newer messages than the anchor, the nearest of them.
	Newer
	// Around the anchor: as many before it as after, more on one side where the
	// other has run out.
	Around
)

// History is a run of a chat's messages, with what it takes to decide whether
// the caller may see them. All of it is from one moment.
type History struct {
	Members []int64
	LastSeq int64
	// Messages ascend by position. Their fingerprints are not read.
	Messages []Message
}

// The chat comes first and the messages hang on it, so that a chat without
// messages is told from a chat that does not exist. The lateral join cannot be
// turned round: the plan is always two descents of a primary key, whatever the
// statistics say and however deep the page lies.
const (
	historyColumns = `
SELECT c.member_ids, c.last_seq,
       COALESCE(m.seq, 0) AS seq, COALESCE(m.sender_id, 0) AS sender_id, COALESCE(m.recipient_id, 0) AS recipient_id,
       COALESCE(m.delivered_us, 0) AS delivered_us,
       COALESCE(m.is_edited, false) AS is_edited, COALESCE(m.is_deleted, false) AS is_deleted,
       COALESCE(m.client_message_id, '') AS client_message_id, COALESCE(m.sent_at, '') AS sent_at,
       COALESCE(m.body, '') AS body
FROM chats AS c
LEFT JOIN LATERAL (
    SELECT seq, sender_id, recipient_id, (extract(epoch FROM delivered_at) * 1000000)::int8 AS delivered_us,
           is_edited, is_deleted, client_message_id, sent_at, body
    FROM messages`
	olderStatement = historyColumns + `
    WHERE messages.chat_id = c.id AND messages.seq < $2
    ORDER BY messages.chat_id DESC, messages.seq DESC
    LIMIT $3
) AS m ON true
WHERE c.id = $1`
	newerStatement = historyColumns + `
    WHERE messages.chat_id = c.id AND messages.seq > $2
    ORDER BY messages.chat_id, messages.seq
    LIMIT $3
) AS m ON true
WHERE c.id = $1`
	// Positions have no gaps, so where the run starts is arithmetic.
	aroundStatement = historyColumns + `
    WHERE messages.chat_id = c.id
      AND messages.seq > LEAST($2::int8 - 1 - $3::int8 / 2, c.last_seq - $3::int8)
    ORDER BY messages.chat_id, messages.seq
    LIMIT $3::int8
) AS m ON true
WHERE c.id = $1`
	// One message is a history of at most one. LIMIT keeps the sub-select from
	// being merged into a join that would look for the position in every chat.
	messageStatement = historyColumns + `
    WHERE messages.chat_id = c.id AND messages.seq = $2
    LIMIT 1
) AS m ON true
WHERE c.id = $1`
)

// History reads a run of a chat's messages. It returns ErrNotFound if there is
// no such chat.
func (r *Reader) History(ctx context.Context, chatID int64, w Window) (*History, error) {
	statement := olderStatement
	switch w.Direction {
	case Newer:
		statement = newerStatement
	case Around:
		statement = aroundStatement
	case Older:
	}
	return r.history(ctx, chatID, w.Limit, statement, w.Anchor, int64(w.Limit))
}

// Message reads the message at a position of a chat, as a history of one, or of
// none if the chat has no such position. It returns ErrNotFound if there is no
// such chat.
func (r *Reader) Message(ctx context.Context, chatID, seq int64) (*History, error) {
	return r.history(ctx, chatID, 1, messageStatement, seq)
}

func (r *Reader) history(ctx context.Context, chatID int64, limit int, statement string, bounds ...any) (*History, error) {
	return within(ctx, r, func(ctx context.Context) (*History, error) {
		h := &History{}
		row := historyRow{chatID: chatID, limit: limit}
		err := r.each(ctx, statement, append([]any{chatID}, bounds...), func(rows *sql.Rows) error {
			return row.scan(rows, h)
		})
		switch {
		case err != nil:
			return nil, fmt.Errorf("reading messages: %w", err)
		case h.Members == nil:
			return nil, fmt.Errorf("reading messages: %w", ErrNotFound)
		}
		// The inner order is a promise about which rows, not about their order.
		slices.SortFunc(h.Messages, func(a, b Message) int { return int(a.Seq - b.Seq) })
		return h, nil
	})
}

// historyRow is one row of a history statement and where to scan it to.
type historyRow struct {
	chatID          int64
	limit           int
	members         sql.RawBytes
	lastSeq, micros int64
	message         Message
	to              []any
}

func (r *historyRow) scan(rows *sql.Rows, h *History) error {
	if r.to == nil {
		m := &r.message
		r.to = []any{
			&r.members, &r.lastSeq, &m.Seq, &m.SenderID, &m.RecipientID, &r.micros,
			&m.IsEdited, &m.IsDeleted, &m.ClientMessageID, &m.SentAt, &m.Body,
		}
	}
	if err := rows.Scan(r.to...); err != nil {
		return err
	}
	if h.Members == nil {
		members, err := parseInt8s(r.members)
		if err != nil {
			return err
		}
		h.Members, h.LastSeq = members, r.lastSeq
	}
	if r.message.Seq == 0 {
		return nil
	}
	if h.Messages == nil {
		h.Messages = make([]Message, 0, r.limit)
	}
	r.message.ChatID, r.message.DeliveredAt = r.chatID, time.UnixMicro(r.micros).UTC()
	h.Messages = append(h.Messages, r.message)
	return nil
}
