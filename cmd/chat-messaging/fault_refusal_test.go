package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/services/instance"
	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// What Postgres refuses or cannot give, one after the other on one server.
func TestFaultPostgresRefuses(t *testing.T) {
	t.Parallel()
	server := startPostgres(t, instance.PostgresConfig{
		Settings: map[string]string{"max_connections": "50", "superuser_reserved_connections": "15"},
	})
	t.Run("too many connections", func(t *testing.T) { tooManyConnections(t, cornerOn(t, server)) })
	t.Run("read only", func(t *testing.T) { readOnly(t, cornerOn(t, server)) })
}

// ordinary makes an account that may use the corner's tables and nothing else,
// and returns its name and an address as that account.
func (c *corner) ordinary(address string) (name, as string) {
	c.t.Helper()
	u, err := url.Parse(address)
	require.NoError(c.t, err)
	schema := u.Query().Get("search_path")
	name = "role_" + schema
	password, _ := u.User.Password()
	c.sql(
		fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", name, password),
		fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s", schema, name),
		fmt.Sprintf("GRANT ALL ON ALL TABLES IN SCHEMA %s TO %s", schema, name),
		fmt.Sprintf("GRANT ALL ON ALL SEQUENCES IN SCHEMA %s TO %s", schema, name),
	)
	u.User = url.UserPassword(name, password)
	return name, u.String()
}

// All places of the server are taken, and the service has lost its own.
func tooManyConnections(t *testing.T, c *corner) {
	s := newScene(c, 1000)
	role, database := s.ordinary(s.database.url)
	app := s.serve("DATABASE_URL=" + database)
	user := s.restClient(t, app.url, "1")
	s.flowing()

	crowd, err := queries.Open(queries.Config{URL: database, MaxConns: 100, ApplicationName: "crowd"})
	require.NoError(t, err)
	defer func() { _ = crowd.Close() }()
	ours := fmt.Sprintf("pg_stat_activity WHERE usename = '%s' AND application_name = 'chat-messaging'", role)
	var places []*sql.Conn
	eventually(t, "there is always room", func() bool {
		s.sql("SELECT pg_terminate_backend(pid) FROM " + ours)
		gone := s.count(ours) == 0 // so that the places that are taken now are the last
		for {
			place, err := crowd.DB.DB.Conn(t.Context())
			if err != nil {
				var refused *pq.Error
				require.ErrorAs(t, err, &refused)
				require.EqualValues(t, "53300", refused.Code)
				return gone && s.count(ours) == 0
			}
			places = append(places, place)
		}
	})
	awaitNotReady(t, app.url, "database", "")
	code, problem := user.call(http.MethodGet, "/chats/get-chats", "")
	require.Equal(t, http.StatusServiceUnavailable, code, "%v", problem)
	s.stalled()
	s.recovers("too many connections", func() {
		for _, place := range places {
			require.NoError(t, place.Close())
		}
		require.NoError(t, crowd.Close())
	})
	requireBlameless(t, app.url)
	s.audit(app.drain)
}

// The server takes no writes, as one does that has become a standby or whose disk
// is full. Reading goes on. Nothing is dispatched that cannot be marked as
// dispatched, or it would go out over and over.
func readOnly(t *testing.T, c *corner) {
	s := newScene(c, 1000)
	app := s.serve()
	user := s.restClient(t, app.url, "1")
	s.flowing()
	s.sql("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
	awaitNotReady(t, app.url, "pipeline", "read-only")
	if s.count("outbox") > 0 { // or the relay has nothing to find it out with
		awaitNotReady(t, app.url, "relay", "read-only")
	}
	code, page := user.call(http.MethodGet, fmt.Sprintf("/messages/get-messages?chat_id=%d&cursor=", s.o.chats[0]), "")
	require.Equal(t, http.StatusOK, code, "%v", page)
	s.recovers("a read-only database", func() {
		s.sql("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
	})
	requireBlameless(t, app.url)
	require.LessOrEqual(t, s.audit(app.drain), 2*s.ahead(), "the window that was under way, and no more")
}

// Faults of single transactions, side by side on one server.
func TestFaultTransactionsCollide(t *testing.T) {
	t.Parallel()
	server := startPostgres(t, instance.PostgresConfig{Settings: map[string]string{"max_prepared_transactions": "5"}})
	t.Run("group", func(t *testing.T) {
		t.Run("deadlock", func(t *testing.T) { t.Parallel(); deadlock(t, cornerOn(t, server)) })
		t.Run("serialization failure", func(t *testing.T) { t.Parallel(); serializationFailure(t, cornerOn(t, server)) })
		t.Run("open transactions", func(t *testing.T) { t.Parallel(); openTransactions(t, cornerOn(t, server), server) })
	})
}

// holdTx opens a transaction of a stranger; it ends with the test at the latest.
func (c *corner) holdTx(statements ...string) (tx *sql.Tx, pid int) {
	c.t.Helper()
	tx, err := c.db.DB.DB.BeginTx(context.Background(), nil)
	require.NoError(c.t, err)
	c.t.Cleanup(func() { _ = tx.Rollback() })
	for _, statement := range append([]string{"SET LOCAL idle_in_transaction_session_timeout = 0"}, statements...) {
		_, err := tx.ExecContext(context.Background(), statement)
		require.NoError(c.t, err, statement)
	}
	require.NoError(c.t, tx.QueryRowContext(context.Background(), "SELECT pg_backend_pid()").Scan(&pid))
	return tx, pid
}

// A stranger locks chats in the other order, and Postgres ends our transaction
// (40P01). It is done again at once.
func deadlock(t *testing.T, c *corner) {
	s := newScene(c, 2000)
	var log output
	app := s.runLogging(newLogger(&log, "info", "text"), s.lines()...)
	awaitReady(t, app.url)
	s.flowing()
	for !logged(&log, "deadlock") {
		require.Less(t, s.r.distinct(), s.n*9/10, "the load is over and there was no deadlock")
		// The stranger is patient, so that Postgres sacrifices us.
		tx, pid := s.holdTx("SET LOCAL deadlock_timeout = '1min'", "SET LOCAL statement_timeout = 0",
			"SELECT FROM chats WHERE id = (SELECT max(id) FROM chats) FOR UPDATE")
		s.awaitBlockedBy(pid)
		_, err := tx.ExecContext(t.Context(), "SELECT FROM chats ORDER BY id FOR UPDATE")
		require.NoError(t, err)
		require.NoError(t, tx.Rollback())
	}
	s.recovers("a deadlock", func() {})
	requireBlameless(t, app.url)
	require.Zero(t, s.audit(app.drain))
}

// The owner of the database has chosen a stricter isolation, under which a chat
// that somebody else has changed costs the transaction (40001).
func serializationFailure(t *testing.T, c *corner) {
	s := newScene(c, 1000)
	var log output
	app := s.runLogging(newLogger(&log, "info", "text"),
		append(s.lines(), "DATABASE_URL="+s.database.url+"&default_transaction_isolation=repeatable+read")...)
	awaitReady(t, app.url)
	s.flowing()
	tx, pid := s.holdTx("UPDATE chats SET last_seq = last_seq")
	s.awaitBlockedBy(pid)
	s.recovers("a serialization failure", func() { require.NoError(t, tx.Commit()) })
	require.True(t, logged(&log, "could not serialize"))
	requireBlameless(t, app.url)
	require.Zero(t, s.audit(app.drain))
}

// Transactions that stay open, here, in another database, and prepared and
// forgotten, hold up nothing.
func openTransactions(t *testing.T, c *corner, server *instance.Postgres) {
	s := newScene(c, 500)
	s.holdTx("INSERT INTO users (id, details) VALUES (999999, '{}')")
	s.sql("CREATE DATABASE elsewhere")
	elsewhere, err := url.Parse(server.URL())
	require.NoError(t, err)
	elsewhere.Path = "/elsewhere"
	other := &corner{t: t, db: queriestest.Open(t, elsewhere.String(), false)}
	other.holdTx("CREATE TABLE something (id int)")
	forgotten, _ := s.holdTx("INSERT INTO users (id, details) VALUES (999998, '{}')", "PREPARE TRANSACTION 'forgotten'")
	_ = forgotten.Rollback()
	defer s.sql("ROLLBACK PREPARED 'forgotten'")
	require.Equal(t, 1, s.count("pg_prepared_xacts"))

	app := s.serve()
	began := time.Now()
	s.load()
	s.r.await(s.n)
	took := time.Since(began)
	require.Less(t, took, recoveryBound)
	t.Logf("%d messages stored and dispatched in %s", s.n, took.Round(time.Millisecond))
	requireBlameless(t, app.url)
	require.Zero(t, s.audit(app.drain))
}
