package queries

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/lib/pq/oid"
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
// messages is told from a chat that does not exist. The lateral joins cannot be
// turned round: the plan is always two descents of a primary key for each page,
// whatever the statistics say and however deep the page lies.
const (
	historyColumns = `
       c.member_ids, c.last_seq,
       COALESCE(m.seq, 0) AS seq, COALESCE(m.sender_id, 0) AS sender_id, COALESCE(m.recipient_id, 0) AS recipient_id,
       COALESCE(m.delivered, '\x0000000000000000') AS delivered,
       COALESCE(m.is_edited, false) AS is_edited, COALESCE(m.is_deleted, false) AS is_deleted,
       COALESCE(m.client_message_id, '') AS client_message_id, COALESCE(m.sent_at, '') AS sent_at,
       COALESCE(m.body, '') AS body`
	historyMessages = `
LEFT JOIN LATERAL (
    SELECT seq, sender_id, recipient_id, timestamptz_send(delivered_at) AS delivered,
           is_edited, is_deleted, client_message_id, sent_at, body
    FROM messages`
	// Positions have no gaps, so where a run begins is arithmetic, and all kinds
	// of runs are the same statement. An anchor may be the largest integer there
	// is: nothing is added to it before it is cut down to the chat's last
	// position.
	pagesStatement = `
SELECT k.page,` + historyColumns + `
FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[]) WITH ORDINALITY
     AS k (chat_id, direction, anchor, size, page)
CROSS JOIN LATERAL (
    SELECT id, member_ids, last_seq,
           CASE k.direction
               WHEN 0 THEN LEAST(k.anchor - 1, last_seq) - k.size
               WHEN 1 THEN LEAST(k.anchor, last_seq)
               ELSE GREATEST(LEAST(k.anchor - 1 - k.size / 2, last_seq - k.size), 0)
           END AS behind
    FROM chats
    WHERE chats.id = k.chat_id
    OFFSET 0
) AS c` + historyMessages + `
    WHERE messages.chat_id = c.id AND messages.seq > c.behind AND messages.seq <= c.behind + k.size
    ORDER BY messages.chat_id, messages.seq
    LIMIT k.size
) AS m ON true`
	// One message is a history of at most one. LIMIT keeps the sub-select from
	// being merged into a join that would look for the position in every chat.
	messageStatement = `
SELECT` + historyColumns + `
FROM chats AS c` + historyMessages + `
    WHERE messages.chat_id = c.id AND messages.seq = $2
    LIMIT 1
) AS m ON true
WHERE c.id = $1`
)

// History reads a run of a chat's messages. It returns ErrNotFound if there is
// no such chat.
func (r *Reader) History(ctx context.Context, chatID int64, w Window) (*History, error) {
	h, err := r.pages.ask(ctx, pageRequest{chatID, w})
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading messages: %w", err)
	case h == nil:
		return nil, fmt.Errorf("reading messages: %w", ErrNotFound)
	}
	return h, nil
}

// pageRequest is what one caller of History wants.
type pageRequest struct {
	chatID int64
	window Window
}

// readPages reads the pages of all requests with one statement. The page of a
// chat that does not exist is nil.
func (r *Reader) readPages(ctx context.Context, requests []pageRequest) ([]*History, error) {
	var a [4]array
	for i := range a {
		a[i].reset(oid.T_int8, len(requests), 8)
	}
	for _, q := range requests {
		a[0].int8(q.chatID)
		a[1].int8(int64(q.window.Direction))
		a[2].int8(q.window.Anchor)
		a[3].int8(int64(q.window.Limit))
	}
	pages := make([]*History, len(requests))
	var number int
	row := historyRow{to: []any{&number}}
	err := r.each(ctx, pagesStatement, []any{&a[0], &a[1], &a[2], &a[3]}, func(rows *sql.Rows) error {
		if err := row.read(rows); err != nil {
			return err
		}
		page := number - 1
		if page < 0 || page >= len(pages) {
			return fmt.Errorf("the answer has a page %d of %d", number, len(pages))
		}
		if pages[page] == nil {
			pages[page] = &History{}
		}
		return row.appendTo(pages[page], requests[page].chatID, requests[page].window.Limit)
	})
	if err != nil {
		return nil, err
	}
	for _, h := range pages {
		if h != nil {
			// Which rows is promised, not their order.
			slices.SortFunc(h.Messages, func(a, b Message) int { return int(a.Seq - b.Seq) })
		}
	}
	return pages, nil
}

// Message reads the message at a position of a chat, as a history of one, or of
// none if the chat has no such position. It returns ErrNotFound if there is no
// such chat.
func (r *Reader) Message(ctx context.Context, chatID, seq int64) (*History, error) {
	return within(ctx, r, func(ctx context.Context) (*History, error) {
		var h *History
		var row historyRow
		err := r.each(ctx, messageStatement, []any{chatID, seq}, func(rows *sql.Rows) error {
			if err := row.read(rows); err != nil {
				return err
			}
			h = &History{}
			return row.appendTo(h, chatID, 1)
		})
		switch {
		case err != nil:
			return nil, fmt.Errorf("reading a message: %w", err)
		case h == nil:
			return nil, fmt.Errorf("reading a message: %w", ErrNotFound)
		}
		return h, nil
	})
}

// historyRow is one row of a statement with historyColumns, and where to scan it
// to: a statement may have columns of its own before them.
type historyRow struct {
	members, delivered sql.RawBytes
	lastSeq            int64
	message            Message
	to                 []any
	complete           bool
}

// read takes over the current row.
func (r *historyRow) read(rows *sql.Rows) error {
	if !r.complete {
		m := &r.message
		r.to = append(r.to,
			&r.members, &r.lastSeq, &m.Seq, &m.SenderID, &m.RecipientID, &r.delivered,
			&m.IsEdited, &m.IsDeleted, &m.ClientMessageID, &m.SentAt, &m.Body)
		r.complete = true
	}
	return rows.Scan(r.to...)
}

// appendTo adds the row to its page of up to limit messages.
func (r *historyRow) appendTo(h *History, chatID int64, limit int) error {
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
		h.Messages = make([]Message, 0, limit)
	}
	delivered, err := parseTime(r.delivered)
	if err != nil {
		return err
	}
	r.message.ChatID, r.message.DeliveredAt = chatID, delivered
	h.Messages = append(h.Messages, r.message)
	return nil
}
