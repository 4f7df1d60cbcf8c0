package queries

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/lib/pq"
)

// UserChat is a chat as its members see it.
type UserChat struct {
	ID      int64
	LastSeq int64
	// Members are the user ids, ascending.
	Members []int64
	// RelatedUsers is a JSON array of the members' details in the same order,
	// each as it was stored. A member without details has an object of nulls.
	RelatedUsers []byte
	// Incomplete says that a member's details are not known.
	Incomplete bool
	// LastMessage is nil if there is none, or if it was not asked for.
	LastMessage *Message
}

// Everything hangs on the chat by lateral joins and scalar sub-selects, each a
// descent of a primary key: the planner has no other plan to choose. The details
// are strung together as the text that they are; nothing parses them.
const (
	userChatColumns = `
SELECT c.id, c.last_seq, c.member_ids, u.details AS related_users, u.incomplete`
	lastMessageColumns = `,
       COALESCE(m.seq, 0) AS seq, COALESCE(m.sender_id, 0) AS sender_id, COALESCE(m.recipient_id, 0) AS recipient_id,
       COALESCE(m.delivered_us, 0) AS delivered_us,
       COALESCE(m.is_edited, false) AS is_edited, COALESCE(m.is_deleted, false) AS is_deleted,
       COALESCE(m.client_message_id, '') AS client_message_id, COALESCE(m.sent_at, '') AS sent_at,
       COALESCE(m.body, '') AS body`
	userDetailsJoin = `
CROSS JOIN LATERAL (
    SELECT string_agg(COALESCE(d.details, '{"id":' || d.id || ',"username":null,"avatar_url":null}'), ',' ORDER BY d.id) AS details,
           bool_or(d.details IS NULL) AS incomplete
    FROM (
        SELECT x.id, (SELECT users.details::text FROM users WHERE users.id = x.id) AS details
        FROM unnest(c.member_ids) AS x (id)
    ) AS d
) AS u`
	lastMessageJoin = `
LEFT JOIN LATERAL (
    SELECT seq, sender_id, recipient_id, (extract(epoch FROM delivered_at) * 1000000)::int8 AS delivered_us,
           is_edited, is_deleted, client_message_id, sent_at, body
    FROM messages
    WHERE messages.chat_id = c.id AND messages.seq = c.last_seq
    LIMIT 1
) AS m ON true`
	chatsOfUser = `
FROM (
    SELECT c.id, c.last_seq, c.member_ids
    FROM members
    CROSS JOIN LATERAL (
        SELECT id, last_seq, member_ids FROM chats
        WHERE chats.id = members.chat_id AND chats.last_seq > 0
        OFFSET 0
    ) AS c
    WHERE members.user_id = $1 AND members.chat_id > $2
    ORDER BY members.user_id, members.chat_id
    LIMIT $3
) AS c`
	listChatsStatement = userChatColumns + chatsOfUser + userDetailsJoin + `
ORDER BY c.id`
	listChatsLastMessageStatement = userChatColumns + lastMessageColumns + chatsOfUser + userDetailsJoin + lastMessageJoin + `
ORDER BY c.id`
	userChatStatement = userChatColumns + lastMessageColumns + `
FROM chats AS c` + userDetailsJoin + lastMessageJoin + `
WHERE c.id = $1`
	findChatStatement = `
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8 AS now_us, found.*
FROM (SELECT 1) AS always
LEFT JOIN (` + userChatColumns + `
    FROM chats AS c` + userDetailsJoin + `
    WHERE c.member_ids = $1::int8[]
) AS found ON true`
)

// Page is a keyset page: up to Limit rows behind the one with the id After.
type Page struct {
	After int64
	Limit int
	// LastMessage asks for each chat's last message too.
	LastMessage bool
}

// ListChats returns the chats of a user that have at least one message, by id.
func (r *Reader) ListChats(ctx context.Context, user int64, p Page) ([]UserChat, error) {
	return within(ctx, r, func(ctx context.Context) ([]UserChat, error) {
		statement := listChatsStatement
		if p.LastMessage {
			statement = listChatsLastMessageStatement
		}
		var chats []UserChat
		row := userChatRow{lastMessage: p.LastMessage}
		err := r.each(ctx, statement, []any{user, p.After, int64(p.Limit)}, func(rows *sql.Rows) error {
			c, err := row.scan(rows)
			chats = append(chats, c)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("listing chats: %w", err)
		}
		return chats, nil
	})
}

// UserChat reads one chat with its last message. It returns ErrNotFound if there
// is no such chat.
func (r *Reader) UserChat(ctx context.Context, id int64) (*UserChat, error) {
	return within(ctx, r, func(ctx context.Context) (*UserChat, error) {
		var found *UserChat
		row := userChatRow{lastMessage: true}
		err := r.each(ctx, userChatStatement, []any{id}, func(rows *sql.Rows) error {
			c, err := row.scan(rows)
			found = &c
			return err
		})
		switch {
		case err != nil:
			return nil, fmt.Errorf("reading a chat: %w", err)
		case found == nil:
			return nil, fmt.Errorf("reading a chat: %w", ErrNotFound)
		}
		return found, nil
	})
}

// FindChat looks for the chat of exactly these users, ascending and each once.
// It returns nil if there is none, and always the time by the database's clock.
func (r *Reader) FindChat(ctx context.Context, members []int64) (*UserChat, time.Time, error) {
	type answer struct {
		chat *UserChat
		now  time.Time
	}
	a, err := within(ctx, r, func(ctx context.Context) (answer, error) {
		var a answer
		err := r.each(ctx, findChatStatement, []any{pq.Array(members)}, func(rows *sql.Rows) error {
			var micros int64
			var id, lastSeq sql.NullInt64
			var memberIDs, users []byte
			var incomplete sql.NullBool
			if err := rows.Scan(&micros, &id, &lastSeq, &memberIDs, &users, &incomplete); err != nil {
				return err
			}
			a.now = time.UnixMicro(micros).UTC()
			if id.Valid {
				a.chat = &UserChat{
					ID: id.Int64, LastSeq: lastSeq.Int64, Members: members,
					RelatedUsers: inBrackets(users), Incomplete: incomplete.Bool,
				}
			}
			return nil
		})
		return a, err
	})
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("looking for a chat: %w", err)
	}
	return a.chat, a.now, nil
}

// userChatRow is one row of a statement with userChatColumns.
type userChatRow struct {
	lastMessage    bool
	chat           UserChat
	members, users sql.RawBytes
	message        Message
	micros         int64
	to             []any
}

func (r *userChatRow) scan(rows *sql.Rows) (UserChat, error) {
	if r.to == nil {
		r.to = []any{&r.chat.ID, &r.chat.LastSeq, &r.members, &r.users, &r.chat.Incomplete}
		if m := &r.message; r.lastMessage {
			r.to = append(r.to, &m.Seq, &m.SenderID, &m.RecipientID, &r.micros,
				&m.IsEdited, &m.IsDeleted, &m.ClientMessageID, &m.SentAt, &m.Body)
		}
	}
	if err := rows.Scan(r.to...); err != nil {
		return UserChat{}, err
	}
	c := r.chat
	var err error
	if c.Members, err = parseInt8s(r.members); err != nil {
		return UserChat{}, err
	}
	c.RelatedUsers = inBrackets(r.users)
	if r.message.Seq > 0 {
		m := r.message
		m.ChatID, m.DeliveredAt = c.ID, time.UnixMicro(r.micros).UTC()
		c.LastMessage = &m
	}
	return c, nil
}

func inBrackets(elements []byte) []byte {
	array := make([]byte, 0, len(elements)+2)
	array = append(array, '[')
	array = append(array, elements...)
	return append(array, ']')
}
