package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/services/instance"
	"chat-messaging/queries/queriestest"
)

// startPostgres starts a private server, killed at the end of the test.
func startPostgres(t testing.TB, config instance.PostgresConfig) *instance.Postgres {
	t.Helper()
	config.Dir = t.TempDir()
	server, err := instance.StartPostgres(within(t, 2*patience), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Kill()) })
	return server
}

// cornerOn is a corner on a private Postgres and the shared RabbitMQ.
func cornerOn(t testing.TB, server *instance.Postgres, settings ...string) *corner {
	t.Helper()
	return newCornerAt(t, brokerURL(), queriestest.SchemaURLAt(t, server.URL()), settings...)
}

// sql runs statements one by one, each of which must succeed.
func (c *corner) sql(statements ...string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, statement := range statements {
		_, err := c.db.ExecContext(ctx, statement)
		require.NoError(c.t, err, statement)
	}
}

// What hits the whole server, one after the other on one server.
func TestFaultPostgresIsKilledOrCut(t *testing.T) {
	t.Parallel()
	server := startPostgres(t, instance.PostgresConfig{})
	t.Run("killed under load", func(t *testing.T) {
		s := newScene(cornerOn(t, server), 1500)
		app := s.serve()
		s.flowing()
		for range 3 {
			require.NoError(t, server.Kill())
			awaitNotReady(t, app.url, "database", "")
			s.recovers("a killed Postgres", func() { require.NoError(t, server.Start(within(t, 2*patience))) })
		}
		requireBlameless(t, app.url)
		s.audit(app.drain)
	})
	t.Run("cut between COMMIT and its answer", func(t *testing.T) {
		s := newScene(cornerOn(t, server), 1000)
		app := s.serve()
		s.flowing()
		// A standby that does not exist: the transaction is on the disk, and the
		// COMMIT waits for the standby before it answers.
		s.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
		eventually(t, "no COMMIT waits", func() bool {
			return s.count("pg_stat_activity WHERE wait_event = 'SyncRep' AND query = 'COMMIT'") > 0
		})
		s.database.cut()
		s.sql("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
		s.recovers("a COMMIT without an answer", s.database.restore)
		requireBlameless(t, app.url)
		require.Positive(t, counter(t, app.url, "chat_messaging_batch_retries_total"))
		s.audit(app.drain)
	})
}
