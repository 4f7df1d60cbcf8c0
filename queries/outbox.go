package queries

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq/oid"
)

// OutboxRow is an event that waits for its dispatch.
type OutboxRow struct {
	// ID rises in commit order within a chat, because the chat's lock is held
	// from before it is drawn until the commit; across chats it may not.
	ID      int64
	EventID uuid.UUID
	// ChatID is 0 for a message that names no chat of ours.
	ChatID    int64
	UserID    int64
	CreatedAt time.Time
	Name      string
	Payload   []byte
}

const insertOutboxStatement = `
INSERT INTO outbox (event_id, chat_id, user_id, name, payload)
SELECT event_id, chat_id, user_id, name, payload
FROM unnest($1::uuid[], $2::int8[], $3::int8[], $4::text[], $5::text[])
     AS v (event_id, chat_id, user_id, name, payload)`

// InsertOutbox builds the statement and arguments that write the rows in their
// order; ID and CreatedAt are the database's. It only builds because the
// executing is watermill-sql's. The arguments are valid until the next call.
type InsertOutbox struct {
	arrays [5]array
}

// Build returns the statement for rows, of which there is at least one.
func (q *InsertOutbox) Build(rows []OutboxRow) (string, []any) {
	a := &q.arrays
	a[0].reset(oid.T_uuid, len(rows), 16)
	a[1].reset(oid.T_int8, len(rows), 8)
	a[2].reset(oid.T_int8, len(rows), 8)
	a[3].reset(oid.T_text, len(rows), 20)
	a[4].reset(oid.T_text, len(rows), 512)
	for i := range rows {
		r := &rows[i]
		a[0].bytes(r.EventID[:])
		if r.ChatID == 0 {
			a[1].null()
		} else {
			a[1].int8(r.ChatID)
		}
		a[2].int8(r.UserID)
		a[3].text(r.Name)
		a[4].bytes(r.Payload)
	}
	return insertOutboxStatement, []any{&a[0], &a[1], &a[2], &a[3], &a[4]}
}

// outboxSettings are for a session that only reads and deletes rows whose event
// the broker has confirmed: losing a delete in a crash repeats an event under
// its old id, which costs less than a flush for each.
const outboxSettings = `
SET synchronous_commit = off;
SET enable_seqscan = off;
SET jit = off`

// Outbox is the relay's session. It holds the lock that makes its owner the
// only relay of the schema, and it reads and deletes on the very connection
// that holds it: who has lost the lock cannot delete. It serves one goroutine.
type Outbox struct {
	session *session
	ids     array
}

var errReadOnly = errors.New("the database is read-only, so no event could be marked as dispatched")

const readOnlyStatement = `SELECT current_setting('transaction_read_only')::bool`

// LockOutbox tries to become the schema's relay. It returns nil if another
// session is, and an error where rows can be read but not deleted: the same
// events would go out again and again.
func (db *DB) LockOutbox(ctx context.Context) (*Outbox, error) {
	s, err := openLockedSession(ctx, db, outboxSettings, "chat-messaging relay")
	if s == nil || err != nil {
		return nil, err
	}
	var readOnly bool
	err = s.conn.GetContext(ctx, &readOnly, readOnlyStatement)
	if err == nil && readOnly {
		err = errReadOnly
	}
	if err != nil {
		s.unlock()
		s.close()
		return nil, fmt.Errorf("opening the outbox: %w", err)
	}
	return &Outbox{session: s}, nil
}

// Touch keeps the lock over a time in which nothing is read or deleted. To be
// called every few seconds.
func (o *Outbox) Touch(ctx context.Context) error {
	if _, err := o.session.conn.ExecContext(ctx, "SELECT 1"); err != nil {
		return fmt.Errorf("keeping the outbox: %w", err)
	}
	return nil
}

// Close gives the lock back.
func (o *Outbox) Close() {
	o.session.unlock()
	o.session.close()
}

// The lower bound keeps the read away from rows that are deleted but not yet
// vacuumed, of which an open transaction elsewhere can leave a great many.
//
// A row comes as one value, in the order in which decodeOutboxRow takes it apart:
// as columns it would cost the driver a dozen allocations, for every event.
const readOutboxStatement = `
SELECT int8send(id) || uuid_send(event_id) || int8send(COALESCE(chat_id, 0)) || int8send(user_id)
       || timestamptz_send(created_at)
       || int4send(octet_length(name)) || convert_to(name, 'UTF8') || convert_to(payload, 'UTF8') AS row
FROM outbox
WHERE id > $1
ORDER BY id
LIMIT $2`

// Read returns up to limit rows with an id above after, by id.
func (o *Outbox) Read(ctx context.Context, after int64, limit int) ([]OutboxRow, error) {
	stmt, err := o.session.prepared(ctx, readOutboxStatement)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(ctx, after, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []OutboxRow
	var encoded sql.RawBytes
	var names []string
	for rows.Next() {
		if err := rows.Scan(&encoded); err != nil {
			return nil, fmt.Errorf("reading the outbox: %w", err)
		}
		var r OutboxRow
		if r, names, err = decodeOutboxRow(encoded, names); err != nil {
			return nil, fmt.Errorf("reading the outbox: %w", err)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	return out, nil
}

// decodeOutboxRow reads what readOutboxStatement made of a row. names are those
// met so far: there are two, so rows share them.
func decodeOutboxRow(b []byte, names []string) (OutboxRow, []string, error) {
	const fixed = 8 + 16 + 8 + 8 + 8 + 4
	if len(b) < fixed {
		return OutboxRow{}, names, fmt.Errorf("a row of %d bytes is too short", len(b))
	}
	number := func(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) } //nolint:gosec // as Postgres wrote it
	r := OutboxRow{
		ID: number(0), EventID: uuid.UUID(b[8:24]), ChatID: number(24), UserID: number(32),
		CreatedAt: postgresTime(number(40)),
	}
	length := int(binary.BigEndian.Uint32(b[48:]))
	if length > len(b)-fixed {
		return OutboxRow{}, names, fmt.Errorf("a name of %d bytes in a row of %d", length, len(b))
	}
	name := b[fixed : fixed+length]
	i := slices.IndexFunc(names, func(known string) bool { return known == string(name) })
	if i < 0 {
		i, names = len(names), append(names, string(name))
	}
	r.Name, r.Payload = names[i], bytes.Clone(b[fixed+length:])
	return r, names, nil
}

const deleteOutboxStatement = `DELETE FROM outbox WHERE id = ANY ($1::int8[])`

// Delete removes rows whose events are confirmed.
func (o *Outbox) Delete(ctx context.Context, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	stmt, err := o.session.prepared(ctx, deleteOutboxStatement)
	if err != nil {
		return err
	}
	o.ids.reset(oid.T_int8, len(ids), 8)
	for _, id := range ids {
		o.ids.int8(id)
	}
	if _, err := stmt.ExecContext(ctx, &o.ids); err != nil {
		return fmt.Errorf("deleting from the outbox: %w", err)
	}
	return nil
}

const outboxBacklogStatement = `
SELECT count(*) AS rows, COALESCE(extract(epoch FROM now() - min(created_at)), 0)::float8 AS age
FROM (SELECT created_at FROM outbox ORDER BY id LIMIT 10001) AS head`

// OutboxBacklog returns how many events wait, counted up to 10,001, and how
// long the oldest has: the alarm of the service.
func (db *DB) OutboxBacklog(ctx context.Context) (rows int, oldest time.Duration, err error) {
	var r struct {
		Rows int     `db:"rows"`
		Age  float64 `db:"age"`
	}
	if err := db.GetContext(ctx, &r, outboxBacklogStatement); err != nil {
		return 0, 0, fmt.Errorf("measuring the outbox: %w", err)
	}
	return r.Rows, time.Duration(r.Age * float64(time.Second)), nil
}
