package http

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// net/http gathers an answer in 4 KiB. A page of history is a little more with its
// headers, so it would be written to the socket in two pieces and the client woken
// twice: together some 7 of the 95 µs that a page costs. These are the sizes of a
// body for which the connection gathers instead; what is longer is not copied once
// more for a write or two.
const (
	corkLeast = 3 << 10
	corkMost  = 64 << 10
)

// corkedConn can hold the writes of one answer back until the answer is whole, so
// that they go out as one. Whoever closes it before that gives the answer up. Safe
// for concurrent use.
type corkedConn struct {
	net.Conn

	mu   sync.Mutex
	held *[]byte // nil: not corked
}

// corkedListener makes the connections that it accepts corkable.
type corkedListener struct{ net.Listener }

// Accept implements net.Listener.
func (l corkedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &corkedConn{Conn: conn}, nil
}

type connKey struct{}

// withConn is net/http's ConnContext hook.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// cork holds the answer to the request back until net/http has written all of it.
// The body is to be of the given size and to follow at once.
func cork(r *http.Request, size int) {
	if size < corkLeast || size > corkMost {
		return
	}
	if c, ok := r.Context().Value(connKey{}).(*corkedConn); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.held == nil {
			c.held, _ = buffers.Get().(*[]byte)
			*c.held = (*c.held)[:0]
		}
	}
}

// Write implements net.Conn. What is held back counts as written.
func (c *corkedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		return c.Conn.Write(p)
	}
	*c.held = append(*c.held, p...)
	return len(p), nil
}

// SetWriteDeadline implements net.Conn. net/http takes the deadline away when it
// has written an answer to its end; until then it still bounds the write.
func (c *corkedConn) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		c.uncork()
	}
	return c.Conn.SetWriteDeadline(t)
}

// uncork writes what is held back. If it cannot be written the connection is
// closed: its next answer would follow a torn one.
func (c *corkedConn) uncork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		return
	}
	_, err := c.Conn.Write(*c.held)
	buffers.Put(c.held)
	c.held = nil
	if err != nil {
		_ = c.Conn.Close()
	}
}

// CloseWrite lets net/http end an answer after which it reads no more.
func (c *corkedConn) CloseWrite() error {
	c.uncork()
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
