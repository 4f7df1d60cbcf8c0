package queriestest

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"chat-messaging/queries"
)

// Nowhere returns a pool without a server, for benchmarks of what happens on our
// side of the driver: every transaction commits, every write takes all its rows and
// returns what it was given, every read finds none, at no cost. Whether a statement
// is right it cannot tell, so it is of no use to a test.
func Nowhere(b *testing.B) *queries.DB {
	b.Helper()
	db := &queries.DB{DB: sqlx.NewDb(sql.OpenDB(nowhere{}), "postgres")}
	b.Cleanup(func() { _ = db.Close() })
	return db
}

// nowhere is the driver.
type nowhere struct{}

var errUnused = errors.New("database/sql does not call this")

func (nowhere) Connect(context.Context) (driver.Conn, error) { return nowhereConn{}, nil }

func (nowhere) Driver() driver.Driver { return nowhere{} }

func (nowhere) Open(string) (driver.Conn, error) { return nil, errUnused }

// nowhereConn is a connection.
type nowhereConn struct{}

func (nowhereConn) Prepare(query string) (driver.Stmt, error) {
	return nowhereStmt{
		advances: strings.Contains(query, "UPDATE chats"), inserts: strings.Contains(query, "INSERT INTO outbox"),
	}, nil
}

func (nowhereConn) Close() error { return nil }

func (nowhereConn) Begin() (driver.Tx, error) { return nowhereTx{}, nil }

func (nowhereConn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	return nowhereTx{}, nil
}

// CheckNamedValue takes arrays in their binary form, as lib/pq does.
func (nowhereConn) CheckNamedValue(v *driver.NamedValue) error {
	array, ok := v.Value.(interface{ BinaryValue() ([]byte, error) })
	if !ok {
		return driver.ErrSkip
	}
	var err error
	v.Value, err = array.BinaryValue()
	return err
}

// nowhereTx is a transaction.
type nowhereTx struct{}

func (nowhereTx) Commit() error { return nil }

func (nowhereTx) Rollback() error { return nil }

// nowhereStmt is a prepared statement.
type nowhereStmt struct {
	advances bool // chats
	inserts  bool // rows of the outbox
}

func (nowhereStmt) Close() error { return nil }

func (nowhereStmt) NumInput() int { return -1 }

func (nowhereStmt) Exec([]driver.Value) (driver.Result, error) { return nil, errUnused }

func (nowhereStmt) Query([]driver.Value) (driver.Rows, error) { return nil, errUnused }

// ExecContext takes as many rows as its first argument has elements.
func (nowhereStmt) ExecContext(_ context.Context, args []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(elements(args)), nil
}

// Of an array in binary form, see array_recv: its header, where in it the number of
// elements is, and an element of eight bytes behind its length.
const (
	arrayHeader, arrayCount = 20, 12
	int8Size                = 12
)

func elements(args []driver.NamedValue) int {
	if len(args) > 0 {
		if array, ok := args[0].Value.([]byte); ok && len(array) >= arrayHeader {
			return int(binary.BigEndian.Uint32(array[arrayCount:]))
		}
	}
	return 0
}

// QueryContext finds nothing. A statement that advances chats returns what it is given,
// and the time; one that inserts into the outbox an id for each row, and the time.
func (s nowhereStmt) QueryContext(_ context.Context, args []driver.NamedValue) (driver.Rows, error) {
	switch {
	case s.inserts && len(args) >= 2:
		return &nowhereIDs{left: elements(args[len(args)-2:])}, nil
	case !s.advances || len(args) < 2:
		return &nowhereChats{}, nil
	}
	// database/sql uses the arguments again.
	rows := &nowhereChats{left: elements(args)}
	for i := range rows.columns {
		array, ok := args[i].Value.([]byte)
		if !ok || len(array) != arrayHeader+rows.left*int8Size {
			return nil, errUnused
		}
		rows.columns[i] = bytes.Clone(array[arrayHeader:])
	}
	return rows, nil
}

// nowhereChats are two arrays and a time.
type nowhereChats struct {
	columns [2][]byte
	left    int
}

func (*nowhereChats) Columns() []string { return []string{"first", "second", "now"} }

func (*nowhereChats) Close() error { return nil }

func (r *nowhereChats) Next(row []driver.Value) error {
	if r.left == 0 {
		return io.EOF
	}
	r.left--
	for i, column := range r.columns {
		row[i] = int64(binary.BigEndian.Uint64(column[int8Size-8:])) //nolint:gosec // two's complement, both ways
		r.columns[i] = column[int8Size:]
	}
	row[2] = make([]byte, 8)
	return nil
}

// nowhereIDs are rising numbers and a time.
type nowhereIDs struct {
	id   int64
	left int
}

func (*nowhereIDs) Columns() []string { return []string{"id", "created_at"} }

func (*nowhereIDs) Close() error { return nil }

func (r *nowhereIDs) Next(row []driver.Value) error {
	if r.left == 0 {
		return io.EOF
	}
	r.left--
	r.id++
	row[0], row[1] = r.id, make([]byte, 8)
	return nil
}
