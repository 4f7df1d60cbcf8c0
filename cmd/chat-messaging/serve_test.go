package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/queries/queriestest"
)

func TestServeDrainsAtTheFirstSignal(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			c := newCorner(t)
			chat := fmt.Sprint(queriestest.Chat(t, c.db, 1, 2))
			r := c.record("classic")
			service := start(t, c.environ, "serve")
			awaitReady(t, service.url())
			c.send(say(t, chat, "a", 1, 2, "Hello"))
			r.await(1)
			service.signal(signal)
			require.Equal(t, exitOK, service.exitCode())
			require.Contains(t, service.stderr.String(), `"msg":"stopped"`)
			require.Empty(t, service.stdout.String())
			require.Zero(t, c.left(c.config().DatabaseQueueName))
		})
	}
}

// A message whose transaction hangs keeps the service from draining, until the
// second signal. It is not lost: the broker has it.
func TestServeGivesUpAtTheSecondSignal(t *testing.T) {
	t.Parallel()
	c := newCorner(t, "SHUTDOWN_GRACE=5m", "QUEUE_TYPE=quorum")
	chat := queriestest.Chat(t, c.db, 1, 2)
	service := start(t, c.environ, "serve")
	awaitReady(t, service.url())

	tx, err := c.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	var pid int
	require.NoError(t, tx.QueryRowContext(t.Context(), "SELECT pg_backend_pid() FROM chats WHERE id = $1 FOR UPDATE", chat).Scan(&pid))
	c.send(say(t, fmt.Sprint(chat), "a", 1, 2, "Hello"))
	eventually(t, "the message is not in a transaction", func() bool {
		return c.count(fmt.Sprintf("pg_stat_activity WHERE %d = ANY (pg_blocking_pids(pid))", pid)) > 0
	})
	service.signal(syscall.SIGTERM)
	service.said("draining")
	require.True(t, service.running(), "it waits for the message")
	service.signal(syscall.SIGTERM)
	require.Equal(t, exitFailed, service.exitCode())
	require.Contains(t, service.stderr.String(), "second signal")
	require.Equal(t, 1, c.left(c.config().DatabaseQueueName), "the broker has the message")
}

func TestServeNamesEverythingThatIsWrongWithItsSettings(t *testing.T) {
	t.Parallel()
	service := start(t, []string{"PREFETCH=0", "LOG_LEVEL=loud", "KEY=hunter2", "QUEUE_TYPE=fast", "DATABASE_URL=mysql://u:hunter2@h/d"}, "serve")
	require.Equal(t, exitFailed, service.exitCode())
	for _, name := range []string{"PREFETCH", "LOG_LEVEL", "KEY", "QUEUE_TYPE", "DATABASE_URL"} {
		require.Contains(t, service.stderr.String(), name)
	}
	require.NotContains(t, service.stderr.String(), "hunter2")
	require.NotContains(t, service.stderr.String(), "goroutine", "no stack")
}

func TestServeSaysWhyItCannotStart(t *testing.T) {
	t.Parallel()
	t.Run("the port is taken", func(t *testing.T) {
		t.Parallel()
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { _ = listener.Close() }()
		c := newCorner(t, "HTTP_ADDR="+listener.Addr().String())
		service := start(t, c.environ, "serve")
		require.Equal(t, exitFailed, service.exitCode())
		require.Contains(t, service.stderr.String(), "address already in use")
	})
	t.Run("the policy is none", func(t *testing.T) {
		t.Parallel()
		c := newCorner(t, "POLICY_FILE="+writeFile(t, "let everybody in"))
		service := start(t, c.environ, "serve")
		require.Equal(t, exitFailed, service.exitCode())
		require.Contains(t, service.stderr.String(), "POLICY_FILE")
	})
}

// Until the schema is there nothing is consumed; then no restart is needed.
func TestServeWaitsForTheMigrations(t *testing.T) {
	t.Parallel()
	c := newCorner(t)
	empty, _ := strings.CutPrefix(emptySchema(t), "DATABASE_URL=")
	c.environ = append(c.environ, "DATABASE_URL="+empty)
	service := start(t, c.environ, "serve")
	awaitNotReady(t, service.url(), "migrations", "migrate up")
	awaitNotReady(t, service.url(), "pipeline", "migrate up")
	require.Equal(t, http.StatusOK, status(t, service.url()+"/healthz"))
	require.Equal(t, exitOK, c.execute(t.Context(), "", "migrate", "up").code)
	awaitReady(t, service.url())
	service.stop()
}

func TestServeMigratesIfItIsAskedTo(t *testing.T) {
	t.Parallel()
	c := newCorner(t)
	empty, _ := strings.CutPrefix(emptySchema(t), "DATABASE_URL=")
	c.environ = append(c.environ, "DATABASE_URL="+empty)
	replicas := []*process{start(t, c.environ, "serve", "--migrate"), start(t, c.environ, "serve", "--migrate")}
	for _, p := range replicas {
		awaitReady(t, p.url())
		p.stop()
	}
}

// In its container nothing can be written to.
func TestServeWritesNoFile(t *testing.T) {
	t.Parallel()
	c := newCorner(t)
	temporary := t.TempDir()
	p := start(t, append(c.environ, "TMPDIR="+temporary, "HOME="+temporary), "serve")
	awaitReady(t, p.url())
	status(t, p.url()+"/docs")
	p.stop()
	for _, folder := range []string{temporary, p.cmd.Dir} {
		entries, err := os.ReadDir(folder)
		require.NoError(t, err)
		require.Empty(t, entries)
	}
}
