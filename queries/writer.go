package queries

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
)

// sessionSettings hold the writer's plans on its indexes. Without them an empty
// or never analysed table gets a plan that is hundreds of times dearer at the
// next thousand rows, and a prepared statement keeps it. The lock timeout is how
// long a chat that somebody else has locked holds up the others, once; it is longer
// than Postgres takes to find a deadlock, which is another thing.
const sessionSettings = `
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET jit = off;
SET lock_timeout = '1500ms'`

// Writer is the session that stores batches: a connection of its own on which
// every statement is prepared once, which is worth a fifth of the throughput.
// It reconnects when its connection is lost. It serves one goroutine.
type Writer struct {
	db      *DB
	session *session
	// duplicates are expected for this many batches to come, see InsertMessages.
	duplicates int
	members    members
	arrays     [2]array
	messages   messageArrays
}

// NewWriter returns a writer on a connection of the pool; it connects at the
// first Begin.
func NewWriter(db *DB) *Writer {
	return &Writer{db: db, members: newMembers()}
}

// Begin opens the transaction of one batch. The caller ends it with Commit or
// Rollback before the next Begin.
func (w *Writer) Begin(ctx context.Context) (*Tx, error) {
	if w.session == nil {
		s, err := openSession(ctx, w.db, sessionSettings)
		if err != nil {
			return nil, err
		}
		if err := s.forget(); err != nil {
			s.close()
			return nil, fmt.Errorf("setting up the session: %w", err)
		}
		w.session = s
	}
	tx, err := w.session.begin(ctx)
	if err != nil {
		w.discard()
		return nil, fmt.Errorf("beginning the transaction: %w", err)
	}
	w.messages.n = 0
	return &Tx{tx: tx, writer: w, session: w.session}, nil
}

// Close gives the connection back. It is safe to call twice.
func (w *Writer) Close() {
	w.discard()
}

func (w *Writer) discard() {
	if w.session != nil {
		w.session.close()
		w.session = nil
	}
}

// session is one connection with its prepared statements.
type session struct {
	conn  *sqlx.Conn
	wire  *wire
	stmts map[string]*sqlx.Stmt
}

func openSession(ctx context.Context, db *DB, settings string) (*session, error) {
	conn, err := db.Connx(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	s := &session{conn: conn, stmts: map[string]*sqlx.Stmt{}}
	err = conn.Raw(func(driverConn any) error {
		s.wire = db.connector.wireOf(driverConn)
		return nil
	})
	if err == nil {
		_, err = conn.ExecContext(ctx, settings)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("setting up the session: %w", err)
	}
	return s, nil
}

// prepared returns the session's statement for the text. A statement that is
// prepared on the connection runs inside whatever transaction is open on it;
// going through sql.Tx.Stmt would prepare it anew for each transaction.
func (s *session) prepared(ctx context.Context, query string) (*sqlx.Stmt, error) {
	if stmt, ok := s.stmts[query]; ok {
		return stmt, nil
	}
	stmt, err := s.conn.PreparexContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("preparing a statement: %w", err)
	}
	s.stmts[query] = stmt
	return stmt, nil
}

// begin opens a transaction on the driver's own connection. sql.Conn.BeginTx is
// no use here: its transaction holds the Conn open, so that a prepared statement
// that finds the connection broken waits for the transaction to end, and the
// transaction for the statement.
//
// The driver's own BeginTx is none either, for two things that it does. It says
// READ WRITE, and so overrules a default_transaction_read_only that somebody has
// set because the disk is filling up. And it cancels whatever runs when the
// context ends, which may be the COMMIT: one that waits for a synchronous standby
// then succeeds without the standby.
func (s *session) begin(ctx context.Context) (tx driver.Tx, err error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("beginning: %w", err)
	}
	err = s.conn.Raw(func(conn any) error {
		beginner, ok := conn.(driver.Conn)
		if !ok {
			return fmt.Errorf("the driver %T has no transactions", conn)
		}
		s.wire.keepBegin()
		tx, err = beginner.Begin() //nolint:staticcheck // see above
		return err
	})
	return tx, err
}

// forget ends an empty transaction that has no context to watch. What the driver
// keeps of the last one on a connection of the pool, its plain Begin does not
// clear, and the end of each later transaction would use it again.
func (s *session) forget() error {
	return s.conn.Raw(func(conn any) error {
		beginner, ok := conn.(driver.ConnBeginTx)
		if !ok {
			return fmt.Errorf("the driver %T has no transactions", conn)
		}
		tx, err := beginner.BeginTx(context.Background(), driver.TxOptions{})
		if err != nil {
			return err
		}
		return tx.Rollback()
	})
}

// end commits or rolls back.
func (s *session) end(how func() error) error {
	return s.conn.Raw(func(any) error { return how() })
}

// unlock gives advisory locks back at once; dropping the connection does too,
// but only when the server notices.
func (s *session) unlock() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = s.conn.ExecContext(ctx, "SELECT pg_advisory_unlock_all()")
}

// close drops the physical connection too: session settings must not leak into
// the pool, and a session is only closed when it is broken or at the end.
func (s *session) close() {
	_ = s.conn.Raw(func(any) error { return errDropConnection })
	_ = s.conn.Close()
}

// errDropConnection tells database/sql to close the connection instead of pooling it.
var errDropConnection = driver.ErrBadConn

// Tx is the open transaction of one batch. Handlers use its methods; only the
// pipeline ends it. It serves one goroutine.
type Tx struct {
	tx      driver.Tx
	writer  *Writer
	session *session
	done    bool
	last    bool               // see Last
	over    bool               // COMMIT went along with the last statement
	busy    map[int64]struct{} // see PassLocked
	// inserted are rows of the outbox, but for their events.
	inserted []OutboxRow
}

// Commit makes the batch's work durable. After an error the outcome is not
// known: do the batch again, the idempotency keys sort it out.
func (t *Tx) Commit() error {
	if t.done {
		return sql.ErrTxDone
	}
	if err := t.insertKept(context.Background()); err != nil {
		return err
	}
	t.done = true
	if err := t.session.end(t.tx.Commit); err != nil {
		t.writer.discard()
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// Last says that nothing but an insert into the outbox follows: COMMIT goes with it,
// where that can be done, which spares a round trip. If it succeeds only Commit may
// follow: Rollback may come too late.
func (t *Tx) Last() { t.last = true }

// Rollback undoes the batch's work. After Commit it does nothing, so it can be
// deferred. A connection on which it does not succeed is dropped.
func (t *Tx) Rollback() {
	if t.done {
		return
	}
	t.done = true
	if err := t.session.end(t.tx.Rollback); err != nil {
		t.writer.discard()
	}
}

// open returns an error if a statement would run outside of the transaction.
func (t *Tx) open() error {
	if t.done || t.over {
		return sql.ErrTxDone
	}
	return nil
}

// ExecContext runs a statement, prepared on first use, inside the transaction.
// With Exec, Query and QueryRow it lets watermill-sql publish into it.
func (t *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if query == insertOutboxStatement {
		return t.insertOutbox(ctx, args)
	}
	stmt, err := t.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}

// QueryContext is ExecContext for statements that return rows.
func (t *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := t.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

// QueryRowContext is QueryContext for a statement that returns one row.
func (t *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	stmt, err := t.prepared(ctx, query)
	if err != nil {
		return failedRow(ctx, err)
	}
	return stmt.QueryRowContext(ctx, args...)
}

// Exec is ExecContext without a deadline of the caller's.
func (t *Tx) Exec(query string, args ...any) (sql.Result, error) {
	return t.ExecContext(context.Background(), query, args...)
}

// Query is QueryContext without a deadline of the caller's.
func (t *Tx) Query(query string, args ...any) (*sql.Rows, error) {
	return t.QueryContext(context.Background(), query, args...)
}

// QueryRow is QueryRowContext without a deadline of the caller's.
func (t *Tx) QueryRow(query string, args ...any) *sql.Row {
	return t.QueryRowContext(context.Background(), query, args...)
}

// failedRow returns a row that has the error. There is no other way to make one than
// to ask a database that has it.
func failedRow(ctx context.Context, err error) *sql.Row {
	db := sql.OpenDB(failing{err})
	defer func() { _ = db.Close() }()
	return db.QueryRowContext(ctx, "")
}

type failing struct{ err error }

func (f failing) Connect(context.Context) (driver.Conn, error) { return nil, f.err }
func (f failing) Driver() driver.Driver                        { return nil }

// prepared returns the statement, behind the messages that were kept for another.
func (t *Tx) prepared(ctx context.Context, query string) (*sqlx.Stmt, error) {
	if err := t.open(); err != nil {
		return nil, err
	}
	if err := t.insertKept(ctx); err != nil {
		return nil, err
	}
	return t.session.prepared(ctx, query)
}
