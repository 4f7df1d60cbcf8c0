package queries

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"github.com/jmoiron/sqlx"
)

// Reader answers the questions of the REST API: each with one statement, which
// the pool prepares once per connection. It is safe for concurrent use.
type Reader struct {
	db *DB

	// slots bound its share of the pool.
	slots chan struct{}
	mu    sync.RWMutex
	stmts map[string]*sqlx.Stmt
	pages gatherer[pageRequest, *History]
}

// keptForOthers is how many of the pool's connections a reader leaves alone, so
// that a flood of requests does not keep the pipeline from reconnecting, or
// operators from finding out why.
const keptForOthers = 8

// Pages of history are by far the most that is asked for. pageLanes statements
// for them are under way at most, with pageBatch pages each: a second one so
// that the next batch need not wait for the round trip of the one before, and
// few, because only what waits can be gathered.
const (
	pageLanes = 2
	pageBatch = 64
)

// unboundedShare is the share of a pool without a bound.
const unboundedShare = 32

// NewReader returns a reader on the pool. It does not connect.
func NewReader(db *DB) *Reader {
	share := unboundedShare
	if most := db.Stats().MaxOpenConnections; most > 0 {
		share = max(most-keptForOthers, 1)
	}
	r := &Reader{db: db, slots: make(chan struct{}, share), stmts: map[string]*sqlx.Stmt{}}
	r.pages = gatherer[pageRequest, *History]{
		lanes: min(pageLanes, share), limit: pageBatch,
		answer: func(ctx context.Context, requests []pageRequest) ([]*History, error) {
			r.slots <- struct{}{}
			defer func() { <-r.slots }()
			return r.readPages(ctx, requests)
		},
	}
	return r
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

// within runs work on one of the reader's connections and keeps the caller's
// deadline, which the driver cannot: lib/pq goes on waiting for an answer on a
// connection whose other end has vanished. The work is then left behind with its
// slot; statement_timeout ends it where the database still listens. That is also
// why work's context has no end: the two goroutines that database/sql and lib/pq
// would start for each statement to watch for it cost more than they are good
// for. work must own everything that it writes to.
func within[T any](ctx context.Context, r *Reader, work func(context.Context) (T, error)) (T, error) {
	type outcome struct {
		value    T
		err      error
		panicked any
	}
	var none T
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return none, fmt.Errorf("waiting for a database connection: %w", ctx.Err())
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			o.panicked = recover()
			<-r.slots
			done <- o
		}()
		o.value, o.err = work(context.WithoutCancel(ctx))
	}()
	select {
	case o := <-done:
		if o.panicked != nil {
			panic(o.panicked)
		}
		return o.value, o.err
	case <-ctx.Done():
		return none, fmt.Errorf("waiting for the database: %w", ctx.Err())
	}
}
