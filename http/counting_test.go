package http_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

func discard() *slog.Logger {
	return slog.New(slog.DiscardHandler)
}

// countingDB is a pool that counts the statements it sends, preparing included.
func countingDB(t testing.TB) (*queries.DB, *atomic.Int64) {
	t.Helper()
	url := queriestest.SchemaURL(t)
	queriestest.Open(t, url, true)
	cfg, err := pq.NewConfig(url)
	require.NoError(t, err)
	cfg.BinaryParameters = true
	connector, err := pq.NewConnectorConfig(cfg)
	require.NoError(t, err)
	counted := &atomic.Int64{}
	db := &queries.DB{DB: sqlx.NewDb(sql.OpenDB(countingConnector{connector, counted}), "postgres")}
	t.Cleanup(func() { _ = db.Close() })
	return db, counted
}

type countingConnector struct {
	driver.Connector
	counted *atomic.Int64
}

func (c countingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return countingConn{conn.(wholeConn), c.counted}, nil
}

// wholeConn is what lib/pq's connections can do.
type wholeConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.ConnBeginTx
	driver.NamedValueChecker
}

type countingConn struct {
	wholeConn
	counted *atomic.Int64
}

func (c countingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.counted.Add(1)
	stmt, err := c.wholeConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return countingStmt{stmt.(wholeStmt), c.counted}, nil
}

func (c countingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.counted.Add(1)
	return c.wholeConn.ExecContext(ctx, query, args)
}

func (c countingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.counted.Add(1)
	return c.wholeConn.QueryContext(ctx, query, args)
}

type wholeStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type countingStmt struct {
	wholeStmt
	counted *atomic.Int64
}

func (s countingStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.counted.Add(1)
	return s.wholeStmt.QueryContext(ctx, args)
}
