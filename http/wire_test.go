package http_test

import (
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// wire is a way to the database with switches for what happens to networks.
type wire struct {
	listener net.Listener
	upstream string
	// held swallows every byte in both directions, as a firewall does.
	held atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
	wg    sync.WaitGroup
}

// throughWire returns a pool on a migrated schema that is reached through a wire.
func throughWire(t testing.TB) (*queries.DB, *wire) {
	t.Helper()
	direct := queriestest.SchemaURL(t)
	queriestest.Open(t, direct, true)
	u, err := url.Parse(direct)
	require.NoError(t, err)
	w := &wire{upstream: u.Host}
	w.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w.wg.Go(w.accept)
	u.Host = w.listener.Addr().String()
	db, err := queries.Open(queries.Config{URL: u.String()})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = w.listener.Close()
		w.cut()
		_ = db.Close()
		w.wg.Wait()
	})
	return db, w
}

func (w *wire) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", w.upstream)
		if err != nil {
			_ = near.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, near, far)
		w.mu.Unlock()
		w.wg.Go(func() { w.pass(near, far) })
		w.wg.Go(func() { w.pass(far, near) })
	}
}

func (w *wire) pass(from, to net.Conn) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if w.held.Load() {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// cut ends every connection.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range w.conns {
		_ = conn.Close()
	}
	w.conns = nil
}
