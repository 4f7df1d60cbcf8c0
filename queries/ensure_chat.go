package queries

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/lib/pq"
)

// The no-op update makes the statement return the row that won a race; the
// members are inserted by the same statement, so a chat is never without them.
const ensureChatStatement = `
WITH chat AS (
    INSERT INTO chats (id, member_ids) VALUES ($1, $2::int8[])
    ON CONFLICT ON CONSTRAINT chats_member_ids_key DO UPDATE SET member_ids = excluded.member_ids
    RETURNING id
), member AS (
    INSERT INTO members (user_id, chat_id)
    SELECT u.user_id, chat.id FROM chat, unnest($2::int8[]) AS u (user_id)
    ON CONFLICT DO NOTHING
)
SELECT id FROM chat`

// EnsureChat returns the chat of exactly these users, whatever their order, and
// makes it if there is none. Any number of callers may ask at once; all get the
// same chat.
func (db *DB) EnsureChat(ctx context.Context, members []int64) (int64, error) {
	set := slices.Compact(slices.Sorted(slices.Values(members)))
	var id int64
	if err := db.GetContext(ctx, &id, ensureChatStatement, newChatID(), pq.Array(set)); err != nil {
		return 0, fmt.Errorf("making a chat: %w", err)
	}
	return id, nil
}

// newChatID draws a positive 63-bit integer. With ten million chats the odds of
// drawing one that is taken are one in 10^12, and then the primary key refuses.
func newChatID() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return max(int64(binary.BigEndian.Uint64(b[:])>>1), 1)
}
