package queries

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
)

// Reader answers the questions of the REST API: each with one statement, which
// the pool prepares once per connection. It is safe for concurrent use.
type Reader struct {
	db *DB

	mu    sync.RWMutex
	stmts map[string]*sqlx.Stmt
}

// NewReader returns a reader on the pool. It does not connect.
func NewReader(db *DB) *Reader {
	return &Reader{db: db, stmts: map[string]*sqlx.Stmt{}}
}

// Close forgets the prepared statements. The pool stays open.
func (r *Reader) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, stmt := range r.stmts {
		_ = stmt.Close()
	}
	clear(r.stmts)
}

// prepared returns the pool's statement for the text. The lock is not held while
// it is prepared: on a database that does not answer, nobody may wait longer than
// their own deadline.
func (r *Reader) prepared(ctx context.Context, statement string) (*sqlx.Stmt, error) {
	r.mu.RLock()
	stmt, ok := r.stmts[statement]
	r.mu.RUnlock()
	if ok {
		return stmt, nil
	}
	stmt, err := r.db.PreparexContext(ctx, statement)
	if err != nil {
		return nil, fmt.Errorf("preparing a statement: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if first, ok := r.stmts[statement]; ok {
		_ = stmt.Close()
		return first, nil
	}
	r.stmts[statement] = stmt
	return stmt, nil
}

// each runs the statement and calls scan for every row of its answer.
func (r *Reader) each(ctx context.Context, statement string, args []any, scan func(*sql.Rows) error) error {
	stmt, err := r.prepared(ctx, statement)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// abandonAfter is how long after the deadline the driver may take to notice it.
const abandonAfter = 50 * time.Millisecond

// within keeps the caller's deadline where the driver cannot: lib/pq goes on
// waiting for an answer on a connection whose other end has vanished. The work
// is then left behind with its connection, of which the pool bounds the number.
// work must own everything it writes to.
func within[T any](ctx context.Context, work func(context.Context) (T, error)) (T, error) {
	type outcome struct {
		value    T
		err      error
		panicked any
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			if p := recover(); p != nil {
				o.panicked = p
			}
			done <- o
		}()
		o.value, o.err = work(ctx)
	}()
	var o outcome
	select {
	case o = <-done:
	case <-ctx.Done():
		timer := time.NewTimer(abandonAfter)
		defer timer.Stop()
		select {
		case o = <-done:
		case <-timer.C:
			return o.value, fmt.Errorf("waiting for the database: %w", ctx.Err())
		}
	}
	if o.panicked != nil {
		panic(o.panicked)
	}
	if o.err != nil && ctx.Err() != nil {
		// The server's own word for it is "canceling statement due to user request".
		return o.value, fmt.Errorf("%w: %w", ctx.Err(), o.err)
	}
	return o.value, o.err
}
