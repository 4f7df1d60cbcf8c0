package queries

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
)

const insertOutboxStatement = `
INSERT INTO outbox (size, events)
SELECT unnest($1::int4[]), unnest($2::text[])
RETURNING id, timestamptz_send(created_at) AS created_at`

// The messages of a batch and their events, in one round trip.
const insertMessagesAndOutboxStatement = `
WITH stored AS (` + insertMessagesStatement + `)
INSERT INTO outbox (size, events)
SELECT unnest($10::int4[]), unnest($11::text[])
RETURNING id, timestamptz_send(created_at) AS created_at`

// InsertOutbox builds the statement and arguments that write events in their
// order; the ids of their rows, and the time, are the database's. It only builds
// because the executing is watermill-sql's. The arguments are valid until the next
// call.
type InsertOutbox struct {
	rows   outboxArrays
	events []OutboxEvent
	sizes  []int // of the rows
}

// Build returns the statement for events, of which there is at least one, and takes
// them over. An error means that one of them cannot be written.
func (q *InsertOutbox) Build(events []OutboxEvent) (string, []any, error) {
	q.rows.reset(len(events))
	q.events, q.sizes = events, q.sizes[:0]
	for rest := events; len(rest) > 0; {
		n, err := q.rows.row(rest, maxRowBytes)
		if err != nil {
			return "", nil, err
		}
		rest = rest[n:]
		q.sizes = append(q.sizes, n)
	}
	return insertOutboxStatement, []any{&q.rows.sizes, &q.rows.events}, nil
}

// Inserted returns the rows that the statement has written in the transaction, as a
// reading would: it takes over the events, and their payloads. Nil if the transaction
// has not told of just these rows.
func (q *InsertOutbox) Inserted(tx *Tx) []OutboxRow {
	rows, events := tx.inserted, q.events
	tx.inserted, q.events = nil, nil
	if len(rows) != len(q.sizes) {
		return nil
	}
	for i, size := range q.sizes {
		if i > 0 && rows[i].ID <= rows[i-1].ID {
			return nil
		}
		rows[i].Events, events = events[:size:size], events[size:]
	}
	return rows
}

// insertOutbox executes the statement of InsertOutbox, and with it stores the messages
// that were kept.
func (t *Tx) insertOutbox(ctx context.Context, args []any) (sql.Result, error) {
	if err := t.open(); err != nil {
		return nil, err
	}
	query := insertOutboxStatement
	if kept := &t.writer.messages; kept.n > 0 {
		query, args = insertMessagesAndOutboxStatement, append(kept.take(), args...)
	}
	stmt, err := t.session.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	if t.last && t.session.wire.commitAlong() {
		t.over = true
		defer t.session.wire.commitAlone()
		// The driver cancels what runs when the context ends, which may be the
		// COMMIT by then, see session.begin.
		ctx = context.WithoutCancel(ctx)
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, t.insertError(err)
	}
	defer func() { _ = rows.Close() }()
	var created sql.RawBytes
	for rows.Next() {
		var r OutboxRow
		if err := rows.Scan(&r.ID, &created); err != nil {
			return nil, fmt.Errorf("reading what the outbox was given: %w", err)
		}
		if len(t.inserted) > 0 {
			r.CreatedAt = t.inserted[0].CreatedAt // it is the same for all
		} else if r.CreatedAt, err = parseTime(created); err != nil {
			return nil, fmt.Errorf("reading what the outbox was given: %w", err)
		}
		t.inserted = append(t.inserted, r)
	}
	if err := rows.Err(); err != nil {
		return nil, t.insertError(err)
	}
	return driver.RowsAffected(len(t.inserted)), nil
}

// insertError tells that a message is stored already.
func (t *Tx) insertError(err error) error {
	if violates(err, idempotencyConstraint) {
		t.writer.duplicates = expectDuplicatesFor
		err = errStale
	}
	return fmt.Errorf("storing messages and events: %w", err)
}
