package queries

import (
	"cmp"
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
	ID int64
	// Members are the user ids, ascending. They may not be changed.
	Members []int64
	// Busy says that somebody else has locked the chat, so that nothing but its id
	// is known. Only a transaction that passes locked chats sees it.
	Busy bool
	// Taken is how many positions the batch takes.
	Taken int64
	// LastSeq is the position before the first of those. Set by AdvanceChats.
	LastSeq int64
}

// ErrChatLocked is returned when somebody else has locked a chat for longer than a
// transaction waits. Do it again, and pass what is locked.
var ErrChatLocked = errors.New("somebody else has locked a chat")

// errChatGone: it was there a moment ago, or an hour. Chats are never deleted by
// us, but perhaps by hand.
var errChatGone = fmt.Errorf("%w: a chat is gone", errStale)

const readChatsStatement = `SELECT id, member_ids FROM chats WHERE id = ANY ($1::int8[])`

// FOR NO KEY UPDATE leaves inserts that refer to a chat alone.
const lockFreeChatsStatement = `
SELECT id, member_ids
FROM chats
WHERE id = ANY ($1::int8[])
ORDER BY id
FOR NO KEY UPDATE SKIP LOCKED`

const existingChatsStatement = `SELECT id FROM chats WHERE id = ANY ($1::int8[])`

// PassLocked lets ReadChats pass the chats that others have locked, so that
// AdvanceChats need not wait for them. Those in busy are passed without a look, and
// those that are found join it.
func (t *Tx) PassLocked(busy map[int64]struct{}) { t.busy = busy }

// ReadChats returns those of the chats that exist, each once. ids may be empty and
// may not repeat.
func (t *Tx) ReadChats(ctx context.Context, ids []int64) (map[int64]*Chat, error) {
	chats := make(map[int64]*Chat, len(ids))
	if t.busy != nil {
		return chats, t.passLocked(ctx, ids, chats)
	}
	var unknown []int64
	list := make([]Chat, len(ids))
	for i, id := range ids {
		if members := t.writer.members.of(id); members != nil {
			list[i] = Chat{ID: id, Members: members}
			chats[id] = &list[i]
			continue
		}
		unknown = append(unknown, id)
	}
	return chats, t.readChats(ctx, readChatsStatement, unknown, chats)
}

// passLocked locks the chats that nobody else has locked, and tells those that
// others have from those that do not exist.
func (t *Tx) passLocked(ctx context.Context, ids []int64, chats map[int64]*Chat) error {
	free := slices.DeleteFunc(slices.Clone(ids), func(id int64) bool {
		_, busy := t.busy[id]
		return busy
	})
	if err := t.readChats(ctx, lockFreeChatsStatement, free, chats); err != nil {
		return err
	}
	if len(chats) < len(free) {
		if err := t.findBusy(ctx, free, chats); err != nil {
			return err
		}
	}
	for _, id := range ids {
		if _, busy := t.busy[id]; busy {
			chats[id] = &Chat{ID: id, Busy: true}
		}
	}
	return nil
}

// findBusy adds those that exist and are not locked by us to the busy ones.
func (t *Tx) findBusy(ctx context.Context, ids []int64, locked map[int64]*Chat) error {
	keys := &t.writer.arrays[0]
	keys.int8s(ids)
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

// readChats adds what the statement finds, and remembers the members.
func (t *Tx) readChats(ctx context.Context, statement string, ids []int64, chats map[int64]*Chat) error {
	if len(ids) == 0 {
		return nil
	}
	keys := &t.writer.arrays[0]
	keys.int8s(ids)
	rows, err := t.QueryContext(ctx, statement, keys)
	if err != nil {
		return fmt.Errorf("reading chats: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var members sql.RawBytes
	for rows.Next() {
		c := &Chat{}
		if err := rows.Scan(&c.ID, &members); err != nil {
			return fmt.Errorf("reading chats: %w", err)
		}
		if c.Members, err = parseInt8s(members); err != nil {
			return fmt.Errorf("reading chats: %w", err)
		}
		t.writer.members.keep(c.ID, c.Members)
		chats[c.ID] = c
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading chats: %w", err)
	}
	return nil
}

// The rows are updated, and so locked, in the order of the array, because the
// session's settings leave the planner one kind of join.
const advanceChatsStatement = `
UPDATE chats SET last_seq = chats.last_seq + v.taken
FROM unnest($1::int8[], $2::int8[]) AS v (id, taken)
WHERE chats.id = v.id
RETURNING chats.id, chats.last_seq, timestamptz_send(now()) AS now`

const nowStatement = `SELECT timestamptz_send(now()) AS now`

// AdvanceChats takes the next positions of the chats, which are then locked until
// the end of the transaction: no other transaction can take positions of theirs, or
// an outbox id for an event of theirs, before this one is committed. That holds for
// a chat of which none is taken too. It returns the transaction's time by the
// database's clock, also when there are no chats.
//
// The chats are put in the order of their ids, so that two writers never wait for
// each other in a circle. If one does not exist any more the error is one that
// Classify calls a conflict, and the next try will not find it.
func (t *Tx) AdvanceChats(ctx context.Context, chats []*Chat) (now time.Time, err error) {
	if len(chats) == 0 {
		if now, err = t.now(ctx); err != nil {
			err = fmt.Errorf("reading the time: %w", err)
		}
		return now, err
	}
	slices.SortFunc(chats, func(a, b *Chat) int { return cmp.Compare(a.ID, b.ID) })
	ids, taken := &t.writer.arrays[0], &t.writer.arrays[1]
	ids.reset(oid.T_int8, len(chats), 8)
	taken.reset(oid.T_int8, len(chats), 8)
	for _, c := range chats {
		ids.int8(c.ID)
		taken.int8(c.Taken)
	}
	rows, err := t.QueryContext(ctx, advanceChatsStatement, ids, taken)
	if err != nil {
		return time.Time{}, advanceError(err)
	}
	defer func() { _ = rows.Close() }()
	var at sql.RawBytes
	found := 0
	for ; rows.Next(); found++ {
		var id, last int64
		if err := rows.Scan(&id, &last, &at); err != nil {
			return time.Time{}, advanceError(err)
		}
		i, ok := slices.BinarySearchFunc(chats, id, func(c *Chat, id int64) int { return cmp.Compare(c.ID, id) })
		if !ok {
			return time.Time{}, advanceError(fmt.Errorf("chat %d was not asked for", id))
		}
		chats[i].LastSeq = last - chats[i].Taken
		if found > 0 {
			continue // it is the same for all
		}
		if now, err = parseTime(at); err != nil {
			return time.Time{}, advanceError(err)
		}
	}
	if err := rows.Err(); err != nil {
		return time.Time{}, advanceError(err)
	}
	if found < len(chats) {
		t.writer.members.forget()
		return time.Time{}, advanceError(errChatGone)
	}
	return now, nil
}

func advanceError(err error) error {
	if lockTimedOut(err) {
		err = fmt.Errorf("%w: %w", ErrChatLocked, err)
	}
	return fmt.Errorf("advancing chats: %w", err)
}

// now is the transaction's time.
func (t *Tx) now(ctx context.Context) (now time.Time, err error) {
	rows, err := t.QueryContext(ctx, nowStatement)
	if err != nil {
		return time.Time{}, err
	}
	defer func() { _ = rows.Close() }()
	var at sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&at); err != nil {
			return time.Time{}, err
		}
		if now, err = parseTime(at); err != nil {
			return time.Time{}, err
		}
	}
	return now, rows.Err()
}
