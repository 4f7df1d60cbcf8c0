package queries

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lib/pq/oid"
)

// Chat is a chat as the pipeline needs it.
type Chat struct {
	ID      int64
	LastSeq int64
	// Members are the user ids, ascending.
	Members []int64
	// Busy says that somebody else has locked the chat, so that nothing but its id
	// is known. Only a transaction that passes locked chats sees it.
	Busy bool
}

// ErrChatLocked is returned when somebody else has locked a chat for longer than a
// transaction waits. Do it again, and pass what is locked.
var ErrChatLocked = errors.New("somebody else has locked a chat")

// The rows are locked in the order of their ids, so that two writers never wait
// for each other in a circle; FOR NO KEY UPDATE leaves inserts that refer to a
// chat alone. A statement behind the lock sees what the lock waited for.
const lockChatsStatement = `
SELECT id, last_seq, member_ids, timestamptz_send(now()) AS now
FROM chats
WHERE id = ANY ($1::int8[])
ORDER BY id
FOR NO KEY UPDATE`

const lockFreeChatsStatement = lockChatsStatement + `
SKIP LOCKED`

const existingChatsStatement = `SELECT id FROM chats WHERE id = ANY ($1::int8[])`

const nowStatement = `SELECT timestamptz_send(now()) AS now`

// PassLocked lets LockChats pass the chats that others have locked instead of
// waiting for them. Those in busy are passed without a look, and those that are
// found join it.
func (t *Tx) PassLocked(busy map[int64]struct{}) { t.busy = busy }

// LockChats returns those of the chats that exist, locked until the end of the
// transaction, and the transaction's time by the database's clock. ids may
// repeat and be empty.
func (t *Tx) LockChats(ctx context.Context, ids []int64) (map[int64]*Chat, time.Time, error) {
	if t.busy == nil {
		chats, now, err := t.lockChats(ctx, lockChatsStatement, ids)
		if lockTimedOut(err) {
			err = fmt.Errorf("%w: %w", ErrChatLocked, err)
		}
		return chats, now, err
	}
	free := slices.DeleteFunc(slices.Clone(ids), func(id int64) bool {
		_, busy := t.busy[id]
		return busy
	})
	chats, now, err := t.lockChats(ctx, lockFreeChatsStatement, free)
	if err == nil && len(chats) < len(free) {
		err = t.findBusy(ctx, free, chats)
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	for _, id := range ids {
		if _, busy := t.busy[id]; busy {
			chats[id] = &Chat{ID: id, Busy: true}
		}
	}
	return chats, now, nil
}

// findBusy tells those that exist and are locked by others from those that do
// not exist.
func (t *Tx) findBusy(ctx context.Context, ids []int64, locked map[int64]*Chat) error {
	keys := &t.writer.arrays[0]
	keys.reset(oid.T_int8, len(ids), 8)
	for _, id := range ids {
		keys.int8(id)
	}
	rows, err := t.QueryContext(ctx, existingChatsStatement, keys)
	if err != nil {
		return fmt.Errorf("looking for locked chats: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return fmt.Errorf("looking for locked chats: %w", err)
		}
		if locked[id] == nil {
			t.busy[id] = struct{}{}
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("looking for locked chats: %w", err)
	}
	return nil
}

func (t *Tx) lockChats(ctx context.Context, statement string, ids []int64) (map[int64]*Chat, time.Time, error) {
	var now sql.RawBytes
	var at time.Time
	chats := make(map[int64]*Chat, len(ids))
	if len(ids) > 0 {
		keys := &t.writer.arrays[0]
		keys.reset(oid.T_int8, len(ids), 8)
		for _, id := range ids {
			keys.int8(id)
		}
		rows, err := t.QueryContext(ctx, statement, keys)
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("locking chats: %w", err)
		}
		defer func() { _ = rows.Close() }()
		var members sql.RawBytes
		for rows.Next() {
			c := &Chat{}
			if err := rows.Scan(&c.ID, &c.LastSeq, &members, &now); err != nil {
				return nil, time.Time{}, fmt.Errorf("locking chats: %w", err)
			}
			if c.Members, err = parseInt8s(members); err != nil {
				return nil, time.Time{}, fmt.Errorf("locking chats: %w", err)
			}
			if at, err = parseTime(now); err != nil {
				return nil, time.Time{}, fmt.Errorf("locking chats: %w", err)
			}
			chats[c.ID] = c
		}
		if err := rows.Err(); err != nil {
			return nil, time.Time{}, fmt.Errorf("locking chats: %w", err)
		}
	}
	if at.IsZero() {
		rows, err := t.QueryContext(ctx, nowStatement)
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("reading the time: %w", err)
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			if err := rows.Scan(&now); err != nil {
				return nil, time.Time{}, fmt.Errorf("reading the time: %w", err)
			}
			if at, err = parseTime(now); err != nil {
				return nil, time.Time{}, fmt.Errorf("reading the time: %w", err)
			}
		}
		if err := rows.Err(); err != nil {
			return nil, time.Time{}, fmt.Errorf("reading the time: %w", err)
		}
	}
	return chats, at, nil
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
