package queries

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/lib/pq"
)

// silence is how long a server that has stopped answering is believed alive. The
// driver itself waits for ever on a connection whose packets vanish, whatever the
// statement's context says.
const silence = 15 * time.Second

// dialer gives up on connections that carry nothing: keepalives find a peer that
// is gone while we wait for it, the user timeout one that does not take what we
// send. Both ask the peer's kernel, so a server that is frozen, or a proxy whose
// server is gone, passes for alive: the answer timeout finds those.
type dialer struct {
	net.Dialer
	// answer is how long the server may take for the first word of an answer; 0
	// is without end.
	answer time.Duration
}

var _ pq.DialerContext = (*dialer)(nil)

func newDialer(answer time.Duration) *dialer {
	d := &dialer{answer: answer, Dialer: net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silence / 3, Interval: silence / 3, Count: 2},
	}}
	d.Control = setUserTimeout
	return d
}

// DialContext implements pq.DialerContext.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err //nolint:wrapcheck // the driver looks into it
	}
	await := func() error { return nil }
	if d.answer != 0 {
		answering := &answeringConn{Conn: conn, within: d.answer}
		conn, await = answering, answering.await
	}
	w := newWire(conn, await)
	if dialled, ok := ctx.Value(wireKey{}).(**wire); ok {
		*dialled = w
	}
	return w, nil
}

// DialTimeout implements pq.Dialer.
func (d *dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

// answeringConn fails a read if nothing comes within a time after what was
// written last. In between, while nobody has asked anything, it may be silent for
// as long as it likes.
type answeringConn struct {
	net.Conn
	within time.Duration
	given  atomic.Bool // the driver has set a deadline of its own, which holds
}

// await begins the wait for an answer.
func (c *answeringConn) await() error {
	if c.given.Load() {
		return nil
	}
	if err := c.Conn.SetReadDeadline(time.Now().Add(c.within)); err != nil {
		return fmt.Errorf("bounding the wait for an answer: %w", err)
	}
	return nil
}

// Write implements net.Conn: a question begins the wait.
func (c *answeringConn) Write(p []byte) (int, error) {
	if err := c.await(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p) //nolint:wrapcheck // the driver looks into it
}

// Read implements net.Conn: an answer ends the wait.
func (c *answeringConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && !c.given.Load() {
		err = c.Conn.SetReadDeadline(time.Time{})
	}
	return n, err //nolint:wrapcheck // the driver looks into it
}

// SetDeadline implements net.Conn; the driver bounds its handshake with it.
func (c *answeringConn) SetDeadline(t time.Time) error {
	c.given.Store(!t.IsZero())
	return c.Conn.SetDeadline(t) //nolint:wrapcheck // the driver looks into it
}
