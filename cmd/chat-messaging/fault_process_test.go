package main

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stopWithin sends SIGTERM; the process must have ended by the bound, in order or
// not. A busy machine gets as much again.
func (p *process) stopWithin(bound time.Duration) {
	p.t.Helper()
	began := time.Now()
	p.signal(syscall.SIGTERM)
	require.Contains(p.t, []int{exitOK, exitFailed}, p.exitCode())
	require.Less(p.t, time.Since(began), 2*bound)
}

// The instance that works is frozen in the midst of it, as a virtual machine that
// is moved or a process that swaps is: its connections stay open, and it holds
// messages, locks on chats and the outbox. The servers give up on it, and the
// other instance takes over. Then it wakes, a zombie that believes to be in
// charge: nothing that it still does may count.
func TestFaultAZombieWakes(t *testing.T) {
	t.Parallel()
	s := newScene(newCorner(t), 1000)
	zombie := s.spawn()
	standby := s.spawn()
	s.flowing()

	// It is to be frozen inside a transaction: so let it wait for a chat, and
	// have the chat once it can no longer do anything with it.
	tx, err := s.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	var holder int
	require.NoError(t, tx.QueryRowContext(t.Context(), "SELECT pg_backend_pid() FROM chats FOR UPDATE").Scan(&holder))
	s.awaitBlockedBy(holder)
	zombie.signal(syscall.SIGSTOP)
	require.NoError(t, tx.Rollback())
	began := time.Now()

	awaitOutcomes(t, standby)
	t.Logf("RECOVERY from an instance that is frozen in a transaction: %s", time.Since(began).Round(time.Millisecond))
	require.Less(t, time.Since(began), 2*recoveryBound, "heartbeats and idle_in_transaction_session_timeout take 15 s")
	s.r.await(s.n / 2)
	zombie.signal(syscall.SIGCONT)
	s.audit(func() { zombie.stop(); standby.stop() })
}

// awaitBlockedBy waits until a session waits for a lock that the given one has.
func (c *corner) awaitBlockedBy(pid int) {
	c.t.Helper()
	eventually(c.t, "nobody waits for the lock", func() bool {
		return c.count(fmt.Sprintf("pg_stat_activity WHERE %d = ANY (pg_blocking_pids(pid))", pid)) > 0
	})
}

// awaitOutcomes waits until the process has stored messages.
func awaitOutcomes(t testing.TB, p *process) {
	t.Helper()
	eventually(t, "nobody takes over", func() bool {
		return len(metric(t, p.url(), "chat_messaging_outcomes_total")) > 0
	})
}

// Whoever reads the log has stopped, and then has died. The service goes on
// without a log, and ends when it is told to.
func TestFaultTheLogIsStuckOrBroken(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"stuck", "broken"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := newScene(newCorner(t), 1000)
			read, write, err := os.Pipe()
			require.NoError(t, err)
			defer func() { _ = read.Close() }()
			// The address has to be known without the log.
			address := freeAddress(t)
			service := startWriting(t, os.Args[0], write, append(s.environ, append(s.lines(), "LOG_LEVEL=trace", "HTTP_ADDR="+address)...), "serve")
			require.NoError(t, write.Close())
			if fault == "broken" {
				require.NoError(t, read.Close())
			}
			url := "http://" + address
			eventually(t, "it does not serve", func() bool {
				response, err := client.Get(url + "/readyz")
				if err != nil {
					return false
				}
				_ = response.Body.Close()
				return response.StatusCode == 200
			})
			s.flowing()
			s.audit(func() {
				began := time.Now()
				service.signal(syscall.SIGTERM)
				require.Equal(t, exitOK, service.exitCode())
				require.Less(t, time.Since(began), recoveryBound)
			})
		})
	}
}

// freeAddress is an address of this machine that nobody uses at the moment.
func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
