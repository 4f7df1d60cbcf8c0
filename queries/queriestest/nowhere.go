package queriestest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/jmoiron/sqlx"

	"chat-messaging/queries"
)

// Nowhere returns a pool without a server, for benchmarks of what happens on our
// side of the driver: every transaction commits, every write takes all its rows,
// every read finds none, at no cost. Whether a statement is right it cannot tell,
// so it is of no use to a test.
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

func (nowhereConn) Prepare(string) (driver.Stmt, error) { return nowhereStmt{}, nil }

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
type nowhereStmt struct{}

func (nowhereStmt) Close() error { return nil }

func (nowhereStmt) NumInput() int { return -1 }

func (nowhereStmt) Exec([]driver.Value) (driver.Result, error) { return nil, errUnused }

func (nowhereStmt) Query([]driver.Value) (driver.Rows, error) { return nil, errUnused }

// ExecContext takes as many rows as its first argument has elements.
func (nowhereStmt) ExecContext(_ context.Context, args []driver.NamedValue) (driver.Result, error) {
	const header, count = 20, 12 // of an array in binary form: see array_recv
	if len(args) > 0 {
		if array, ok := args[0].Value.([]byte); ok && len(array) >= header {
			return driver.RowsAffected(binary.BigEndian.Uint32(array[count:])), nil
		}
	}
	return driver.RowsAffected(0), nil
}

func (nowhereStmt) QueryContext(context.Context, []driver.NamedValue) (driver.Rows, error) {
	return nowhereRows{}, nil
}

// nowhereRows are no rows.
type nowhereRows struct{}

func (nowhereRows) Columns() []string { return nil }

func (nowhereRows) Close() error { return nil }

func (nowhereRows) Next([]driver.Value) error { return io.EOF }
