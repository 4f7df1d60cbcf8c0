package main

import (
	"net/url"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/services/instance"
	"chat-messaging/queries/queriestest"
)

// moveTo makes the corner look at another server with the same schema.
func (c *corner) moveTo(server *instance.Postgres) {
	c.t.Helper()
	from, err := url.Parse(c.database)
	require.NoError(c.t, err)
	to, err := url.Parse(server.URL())
	require.NoError(c.t, err)
	to.RawQuery = from.RawQuery
	c.database = to.String()
	c.db = queriestest.Open(c.t, c.database, false)
}

// The primary dies under load and its synchronous standby takes its place. What
// was acknowledged is there, and the service goes on without a restart.
func TestFaultFailoverToASynchronousStandby(t *testing.T) {
	t.Parallel()
	primary := startPostgres(t, instance.PostgresConfig{})
	standby := startPostgres(t, instance.PostgresConfig{StandbyOf: primary.URL()})
	s := newScene(cornerOn(t, primary), 1000)
	s.sql("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
	eventually(t, "the standby is not synchronous", func() bool {
		return s.count("pg_stat_replication WHERE sync_state = 'sync'") == 1
	})
	app := s.serve()
	s.flowing()

	require.NoError(t, primary.Kill())
	awaitNotReady(t, app.url, "database", "")
	// Before it is promoted the standby answers, and takes no writes.
	s.database.redirect(standby.URL())
	s.moveTo(standby)
	awaitNotReady(t, app.url, "relay", "read-only")
	s.recovers("a failover", func() { s.sql("SELECT pg_promote()") })
	requireBlameless(t, app.url)
	require.LessOrEqual(t, s.audit(app.drain), 2*s.ahead(), "what was under way, and not what could not be marked")
}

// The database is lost and comes back from a dump, into another server, whose
// transactions count from somewhere else. Events that waited go out, and the
// positions of the chats go on.
func TestFaultRestoredFromADump(t *testing.T) {
	t.Parallel()
	lost := startPostgres(t, instance.PostgresConfig{Volatile: true})
	restored := startPostgres(t, instance.PostgresConfig{Volatile: true})
	s := newScene(cornerOn(t, lost), 500)
	s.sql("CREATE TABLE public.ballast (id int)") // transactions that the other server has not had
	for range 500 {
		s.sql("INSERT INTO public.ballast VALUES (1)")
	}
	app := s.run("COMPONENTS=pipeline")
	awaitReady(t, app.url)
	require.NoError(t, s.o.send(within(t, 2*patience), s.n/2, func() int { return s.n }))
	eventually(t, "not all are stored", func() bool { return s.count("messages") == s.n/2 })
	app.drain()
	require.Equal(t, s.n/2, s.waiting(), "events that wait")

	u, err := url.Parse(s.corner.database)
	require.NoError(t, err)
	schema := u.Query().Get("search_path")
	dump := exec.CommandContext(within(t, 2*patience), lost.Program("pg_dump"), "--schema="+schema, "--dbname="+lost.URL())
	restore := exec.CommandContext(within(t, 2*patience), restored.Program("psql"), "--quiet", "--set=ON_ERROR_STOP=1", "--dbname="+restored.URL())
	var complaints output
	dump.Stderr, restore.Stderr = &complaints, &complaints
	restore.Stdin, err = dump.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, dump.Start())
	require.NoError(t, restore.Run(), "%s", &complaints)
	require.NoError(t, dump.Wait(), "%s", &complaints)
	require.NoError(t, lost.Kill())
	s.moveTo(restored)

	began := time.Now()
	app = s.run("COMPONENTS=pipeline,relay", "DATABASE_URL="+s.corner.database)
	s.r.await(s.n / 2)
	t.Logf("RECOVERY from a restored dump, from the start of the service to the last event that waited: %s", time.Since(began).Round(time.Millisecond))
	s.load()
	s.audit(app.drain)
}
