package queries

import (
	"context"
	"fmt"
	"time"

	"github.com/lib/pq/oid"
)

// Chat is a chat as the pipeline needs it.
type Chat struct {
	ID      int64
	LastSeq int64
	// Members are the user ids, ascending.
	Members []int64
}

// The rows are locked in the order of their ids, so that two writers never wait
// for each other in a circle; FOR NO KEY UPDATE leaves inserts that refer to a
// chat alone. A statement behind the lock sees what the lock waited for.
const lockChatsStatement = `
SELECT id, last_seq, member_ids, (extract(epoch FROM now()) * 1000000)::int8 AS now_us
FROM chats
WHERE id = ANY ($1::int8[])
ORDER BY id
FOR NO KEY UPDATE`

const nowStatement = `SELECT (extract(epoch FROM now()) * 1000000)::int8 AS now_us`

// LockChats returns those of the chats that exist, locked until the end of the
// transaction, and the transaction's time by the database's clock. ids may
// repeat and be empty.
func (t *Tx) LockChats(ctx context.Context, ids []int64) (map[int64]*Chat, time.Time, error) {
	var nowMicros int64
	chats := make(map[int64]*Chat, len(ids))
	if len(ids) > 0 {
		keys := &t.writer.arrays[0]
		keys.reset(oid.T_int8, len(ids), 8)
		for _, id := range ids {
			keys.int8(id)
		}
		rows, err := t.QueryContext(ctx, lockChatsStatement, keys)
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("locking chats: %w", err)
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			c := &Chat{}
			var members []byte
			if err := rows.Scan(&c.ID, &c.LastSeq, &members, &nowMicros); err != nil {
				return nil, time.Time{}, fmt.Errorf("locking chats: %w", err)
			}
			if c.Members, err = parseInt8s(members); err != nil {
				return nil, time.Time{}, fmt.Errorf("locking chats: %w", err)
			}
			chats[c.ID] = c
		}
		if err := rows.Err(); err != nil {
			return nil, time.Time{}, fmt.Errorf("locking chats: %w", err)
		}
	}
	if nowMicros == 0 {
		rows, err := t.QueryContext(ctx, nowStatement)
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("reading the time: %w", err)
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			if err := rows.Scan(&nowMicros); err != nil {
				return nil, time.Time{}, fmt.Errorf("reading the time: %w", err)
			}
		}
		if err := rows.Err(); err != nil {
			return nil, time.Time{}, fmt.Errorf("reading the time: %w", err)
		}
	}
	return chats, time.UnixMicro(nowMicros).UTC(), nil
}

const advanceChatsStatement = `
UPDATE chats SET last_seq = v.last_seq
FROM unnest($1::int8[], $2::int8[]) AS v (id, last_seq)
WHERE chats.id = v.id`

// AdvanceChats writes back last_seq of chats that LockChats returned.
func (t *Tx) AdvanceChats(ctx context.Context, chats []*Chat) error {
	if len(chats) == 0 {
		return nil
	}
	ids, seqs := &t.writer.arrays[0], &t.writer.arrays[1]
	ids.reset(oid.T_int8, len(chats), 8)
	seqs.reset(oid.T_int8, len(chats), 8)
	for _, c := range chats {
		ids.int8(c.ID)
		seqs.int8(c.LastSeq)
	}
	if _, err := t.ExecContext(ctx, advanceChatsStatement, ids, seqs); err != nil {
		return fmt.Errorf("advancing chats: %w", err)
	}
	return nil
}
