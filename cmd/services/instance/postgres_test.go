package instance_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/services/instance"
)

func TestPostgresKeepsCommittedDataOverAKill(t *testing.T) {
	t.Parallel()

	p := startPostgres(t, instance.PostgresConfig{})
	url, db, ctx := p.URL(), open(t, p.URL()), within(t, time.Minute)

	_, err := db.ExecContext(ctx, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)")
	require.NoError(t, err)

	for range 3 {
		require.NoError(t, p.Kill())
		require.False(t, p.Running())
		require.Error(t, db.PingContext(ctx), "a killed server answers")

		require.NoError(t, p.Start(ctx))
		require.Equal(t, url, p.URL())

		var n int
		require.NoError(t, db.QueryRowContext(ctx, "SELECT n FROM kept").Scan(&n))
		require.Equal(t, 42, n)
	}
}

func TestPostgresIsDurableUnlessVolatile(t *testing.T) {
	t.Parallel()

	for name, volatile := range map[string]bool{"on": false, "off": true} {
		t.Run("fsync is "+name, func(t *testing.T) {
			t.Parallel()

			p := startPostgres(t, instance.PostgresConfig{
				Volatile: volatile, Settings: map[string]string{"max_connections": "17"},
			})
			db := open(t, p.URL())

			var fsync, connections string
			require.NoError(t, db.QueryRowContext(t.Context(),
				"SELECT current_setting('fsync'), current_setting('max_connections')").Scan(&fsync, &connections))
			require.Equal(t, name, fsync)
			require.Equal(t, "17", connections, "the given settings are used")
		})
	}
}

func TestPausedPostgresHangsUntilContinued(t *testing.T) {
	t.Parallel()

	p := startPostgres(t, instance.PostgresConfig{Volatile: true})
	db := open(t, p.URL())
	require.NoError(t, db.PingContext(t.Context()))

	require.NoError(t, p.Pause())
	require.NoError(t, p.Pause(), "a second pause")
	require.True(t, p.Running())

	answered := make(chan error, 1)
	go func() { _, err := db.ExecContext(t.Context(), "SELECT 1"); answered <- err }()

	select {
	case err := <-answered:
		require.Fail(t, "a paused server answered", "%v", err)
	case <-time.After(300 * time.Millisecond):
	}

	require.NoError(t, p.Continue())
	require.NoError(t, p.Continue(), "a second continue")
	require.NoError(t, <-answered)

	require.NoError(t, p.Pause())
	require.NoError(t, p.Kill(), "killing a paused server")
	require.NoError(t, p.Start(within(t, time.Minute)))
	require.NoError(t, p.Pause())
	require.NoError(t, p.Stop(within(t, time.Minute)), "stopping a paused server")
	require.ErrorIs(t, p.Pause(), instance.ErrNotRunning)
}

func TestStopKillsWhatDoesNotStopInTime(t *testing.T) {
	t.Parallel()

	p := startPostgres(t, instance.PostgresConfig{Volatile: true})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	require.ErrorIs(t, p.Stop(ctx), context.Canceled)
	require.False(t, p.Running())
	require.NoError(t, p.Stop(t.Context()), "stopping twice")
}

func TestStartSaysWhyTheServerEnded(t *testing.T) {
	t.Parallel()

	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, listener.Close()) })

	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)

	taken, err := strconv.Atoi(port)
	require.NoError(t, err)

	dir := t.TempDir()
	_, err = instance.StartPostgres(within(t, time.Minute), instance.PostgresConfig{Dir: dir, Port: taken})
	require.ErrorContains(t, err, "ended by itself")
	require.ErrorContains(t, err, "Address already in use")

	_, err = instance.AttachPostgres(dir)
	require.ErrorIs(t, err, instance.ErrNotRunning)
}

func TestDataOfAVersionThatIsNotInstalled(t *testing.T) {
	t.Parallel()

	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("9.6\n"), 0o600))

	_, err := instance.StartPostgres(t.Context(), instance.PostgresConfig{Dir: dir})
	require.ErrorIs(t, err, instance.ErrNotInstalled)
	require.ErrorContains(t, err, "make services-install")
	require.ErrorContains(t, err, "PostgreSQL 9.6")
}

func TestFolderThatIsClosedToTheServer(t *testing.T) {
	t.Parallel()

	if os.Geteuid() != 0 {
		// Only root changes the account, and only then can it be shut out.
		return
	}

	closed := filepath.Join(t.TempDir(), "closed")
	require.NoError(t, os.Mkdir(closed, 0o700))
	require.NoError(t, os.Chown(closed, 1, 1))

	_, err := instance.StartPostgres(t.Context(), instance.PostgresConfig{Dir: filepath.Join(closed, "postgres")})
	require.ErrorIs(t, err, instance.ErrUnreachable)
	require.ErrorContains(t, err, closed)
}
