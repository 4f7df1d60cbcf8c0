package queries

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/lib/pq/oid"
)

// outboxSettings are for a session that only reads and deletes rows whose event
// the broker has confirmed: losing a delete in a crash repeats an event under
// its old id, which costs less than a flush for each.
const outboxSettings = `
SET synchronous_commit = off;
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET jit = off`

// Outbox is the relay's session. It holds the lock that makes its owner the
// only relay of the schema, and it reads and deletes on the very connection
// that holds it: who has lost the lock cannot delete. It serves one goroutine.
type Outbox struct {
	session *session
	ids     array
	rows    outboxArrays
	done    []int64 // rows to be deleted
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
// The release before wrote a row for each event, in columns: such a row is read
// as one of a single line.
const readOutboxStatement = `
SELECT id, timestamptz_send(created_at) AS created_at,
       convert_to(COALESCE(events, concat_ws(E'\t', event_id, COALESCE(chat_id, 0), user_id, name,
                                             translate(payload, E'\n', ' ')) || E'\n'), 'UTF8') AS events
FROM outbox
WHERE id > $1
ORDER BY id
LIMIT $2`

// What is deleted here is still there for the reading half, so none of it may be
// among what that half is asked for.
const deleteAndReadOutboxStatement = `
WITH done AS (DELETE FROM outbox WHERE id = ANY ($3::int8[]))` + readOutboxStatement

// Read returns up to limit rows with an id above after, by id, and deletes those
// that are done. None is without events, and none is done.
func (o *Outbox) Read(ctx context.Context, after int64, limit int) ([]OutboxRow, error) {
	if slices.ContainsFunc(o.done, func(id int64) bool { return id > after }) {
		if err := o.Delete(ctx); err != nil {
			return nil, err
		}
	}
	query, args := readOutboxStatement, []any{after, limit}
	if len(o.done) > 0 {
		o.ids.int8s(o.done)
		query, args = deleteAndReadOutboxStatement, append(args, &o.ids)
	}
	out, err := o.read(ctx, query, args)
	if err == nil {
		o.done = o.done[:0]
	}
	return out, err
}

func (o *Outbox) read(ctx context.Context, query string, args []any) ([]OutboxRow, error) {
	stmt, err := o.session.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []OutboxRow
	var created, text sql.RawBytes
	var names outboxNames
	for rows.Next() {
		var r OutboxRow
		if err := rows.Scan(&r.ID, &created, &text); err != nil {
			return nil, fmt.Errorf("reading the outbox: %w", err)
		}
		if r.CreatedAt, err = parseTime(created); err != nil {
			return nil, fmt.Errorf("reading row %d of the outbox: %w", r.ID, err)
		}
		if r.Events, err = parseOutboxEvents(bytes.Clone(text), &names); err != nil {
			return nil, fmt.Errorf("reading row %d of the outbox: %w", r.ID, err)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	return out, nil
}

const keepOutboxStatement = `
UPDATE outbox SET size = v.size, events = v.events
FROM unnest($1::int8[], $2::int4[], $3::text[]) AS v (id, size, events)
WHERE outbox.id = v.id`

// Keep writes rows back that have lost some of their events, which are confirmed.
func (o *Outbox) Keep(ctx context.Context, rows []OutboxRow) error {
	if len(rows) == 0 {
		return nil
	}
	stmt, err := o.session.prepared(ctx, keepOutboxStatement)
	if err != nil {
		return err
	}
	o.ids.reset(oid.T_int8, len(rows), 8)
	o.rows.reset(len(rows))
	for i := range rows {
		o.ids.int8(rows[i].ID)
		if _, err := o.rows.row(rows[i].Events, math.MaxInt); err != nil {
			return fmt.Errorf("keeping events of row %d: %w", rows[i].ID, err)
		}
	}
	if _, err := stmt.ExecContext(ctx, &o.ids, &o.rows.sizes, &o.rows.events); err != nil {
		return fmt.Errorf("keeping events in the outbox: %w", err)
	}
	return nil
}

const deleteOutboxStatement = `DELETE FROM outbox WHERE id = ANY ($1::int8[])`

// Done notes that all events of these rows are confirmed. The next Read deletes
// them, which saves a transaction and a round trip, or Delete does.
func (o *Outbox) Done(ids []int64) { o.done = append(o.done, ids...) }

// Pending tells whether there are rows that are done and not deleted yet.
func (o *Outbox) Pending() bool { return len(o.done) > 0 }

// Delete removes the rows that are done, for when there is nothing to be read.
func (o *Outbox) Delete(ctx context.Context) error {
	if len(o.done) == 0 {
		return nil
	}
	stmt, err := o.session.prepared(ctx, deleteOutboxStatement)
	if err != nil {
		return err
	}
	o.ids.int8s(o.done)
	if _, err := stmt.ExecContext(ctx, &o.ids); err != nil {
		return fmt.Errorf("deleting from the outbox: %w", err)
	}
	o.done = o.done[:0]
	return nil
}

const outboxBacklogStatement = `
SELECT LEAST(COALESCE(sum(size), 0), 10001)::int8 AS events,
       COALESCE(extract(epoch FROM now() - min(created_at)), 0)::float8 AS age
FROM (SELECT size, created_at FROM outbox ORDER BY id LIMIT 10001) AS head`

// OutboxBacklog returns how many events wait, counted up to 10,001, and how
// long the oldest has: the alarm of the service.
func (db *DB) OutboxBacklog(ctx context.Context) (events int, oldest time.Duration, err error) {
	var r struct {
		Events int     `db:"events"`
		Age    float64 `db:"age"`
	}
	if err := db.GetContext(ctx, &r, outboxBacklogStatement); err != nil {
		return 0, 0, fmt.Errorf("measuring the outbox: %w", err)
	}
	return r.Events, time.Duration(r.Age * float64(time.Second)), nil
}
