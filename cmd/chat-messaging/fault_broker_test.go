package main

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/services/instance"
	"chat-messaging/queries/queriestest"
)

// brokerFaults is a private RabbitMQ and what is done to it.
type brokerFaults struct{ server *instance.RabbitMQ }

// scene is a corner on the private broker and the shared Postgres.
func (b *brokerFaults) scene(t *testing.T, n int, settings ...string) *scene {
	t.Helper()
	return newScene(newCornerAt(t, b.server.URL(), queriestest.SchemaURL(t), settings...), n)
}

func (b *brokerFaults) ctl(t *testing.T, args ...string) {
	t.Helper()
	_, err := b.server.Ctl(within(t, patience), args...)
	require.NoError(t, err)
}

// What hits the whole broker, one after the other on one server, because each
// takes seconds of processor time to start.
func TestFaultTheBroker(t *testing.T) {
	t.Parallel()
	server, err := instance.StartRabbitMQ(within(t, 2*patience), instance.RabbitMQConfig{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Kill()) })
	b := &brokerFaults{server: server}
	t.Run("the memory alarm", func(t *testing.T) {
		b.alarm(t, []string{"set_vm_memory_high_watermark", "absolute", "1MB"}, []string{"set_vm_memory_high_watermark", "0.6"})
	})
	t.Run("the disk alarm", func(t *testing.T) {
		b.alarm(t, []string{"set_disk_free_limit", "100000GB"}, []string{"set_disk_free_limit", "50MB"})
	})
	t.Run("other credentials", b.credentials)
	t.Run("the consumer timeout", b.consumerTimeout)
	t.Run("killed under load", b.killed)
}

// Under an alarm the broker takes nothing and hands out everything. Storing goes
// on, the events wait, and the service can be stopped.
func (b *brokerFaults) alarm(t *testing.T, on, off []string) {
	const grace = 3 * time.Second
	s := b.scene(t, 1000, "SHUTDOWN_GRACE="+grace.String())
	s.serve().drain() // creates the queues
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, s.o.send(ctx, s.n/2, func() int { return s.n }))
	b.ctl(t, on...)
	t.Cleanup(func() { b.ctl(t, off...) })

	app := s.run(s.lines()...)
	eventually(t, "storing does not go on", func() bool { return s.count("messages") == s.n/2 })
	awaitNotReady(t, app.url, "broker", "alarm")
	require.Equal(t, s.n/2, s.waiting(), "events that wait")
	require.Zero(t, s.r.distinct())
	began := time.Now()
	app.drain()
	took := time.Since(began)
	t.Logf("drained under the alarm in %s of %s", took.Round(time.Millisecond), grace)
	require.Less(t, took, recoveryBound)

	app = s.run(s.lines()...)
	awaitNotReady(t, app.url, "broker", "alarm")
	s.recovers("an alarm", func() { b.ctl(t, off...); s.load() })
	s.audit(app.drain)
}

// The password is changed while the service runs, and every connection is closed.
// It says why it cannot connect, and goes on trying until the old one is valid
// again (or it is started with the new one).
func (b *brokerFaults) credentials(t *testing.T) {
	s := b.scene(t, 1000)
	app := s.serve()
	s.flowing()
	u, err := url.Parse(b.server.URL())
	require.NoError(t, err)
	password, _ := u.User.Password()
	b.ctl(t, "change_password", u.User.Username(), "another")
	t.Cleanup(func() { b.ctl(t, "change_password", u.User.Username(), password) })
	b.ctl(t, "close_all_connections", "the password was changed")
	awaitNotReady(t, app.url, "broker", "username or password")
	require.Equal(t, http.StatusOK, status(t, app.url+"/healthz"), "a restart would not help")
	s.recovers("changed credentials", func() { b.ctl(t, "change_password", u.User.Username(), password) })
	requireBlameless(t, app.url)
	s.audit(app.drain)
}

// A message is held for longer than the broker permits, because its chat is
// locked. The broker closes the channel, and the message comes again.
func (b *brokerFaults) consumerTimeout(t *testing.T) {
	b.ctl(t, "eval", "application:set_env(rabbit, consumer_timeout, 2000), application:set_env(rabbit, channel_tick_interval, 1000).")
	defer b.ctl(t, "eval", "application:set_env(rabbit, consumer_timeout, 1800000), application:set_env(rabbit, channel_tick_interval, 60000).")
	s := b.scene(t, 1000)
	var log output
	app := s.runLogging(newLogger(&log, "info", "text"), s.lines()...)
	awaitReady(t, app.url)
	s.flowing()
	tx, pid := s.holdTx("SELECT FROM chats FOR UPDATE")
	s.awaitBlockedBy(pid)
	eventually(t, "the broker does not lose patience", func() bool { return logged(&log, "consuming was interrupted") })
	s.recovers("a consumer timeout", func() { require.NoError(t, tx.Rollback()) })
	requireBlameless(t, app.url)
	s.audit(app.drain)
}

// The broker is killed under load. What it has confirmed is still there.
func (b *brokerFaults) killed(t *testing.T) {
	const kills = 2
	s := b.scene(t, 1500)
	app := s.serve()
	s.flowing()
	for range kills {
		require.NoError(t, b.server.Kill())
		awaitNotReady(t, app.url, "broker", "")
		s.recovers("a killed broker", func() { require.NoError(t, b.server.Start(within(t, 2*patience))) })
	}
	requireBlameless(t, app.url)
	require.LessOrEqual(t, s.audit(app.drain), kills*(1000+s.ahead()), "a window of the relay for each kill, and what the producer sent again")
}
