package pipeline

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// intake bounds the bytes of a connection's messages that are in hand. The
// prefetch bounds their number only, and the client library keeps whatever
// comes in a list without end; so where the messages are huge the connection is
// not read any further until some of them are settled. The broker then holds the
// rest, as TCP tells it to.
//
// It is overdrawn by what is on its way: a message that is read in part, and
// those that the subscriber has not got yet. Safe for concurrent use.
type intake struct {
	limit int64
	held  atomic.Int64

	mu   sync.Mutex
	room chan struct{} // closed when there is room; nil while nobody waits
}

// maxInHand is the bound. A full window of ordinary messages is far below it.
const maxInHand = 64 << 20

// take counts a message that came in.
func (i *intake) take(bytes int) { i.held.Add(int64(bytes)) }

// settle counts one that is done with.
func (i *intake) settle(bytes int) {
	if i.held.Add(-int64(bytes)) >= i.limit {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.room != nil {
		close(i.room)
		i.room = nil
	}
}

// full returns a channel that is closed when there is room, nil if there is some.
func (i *intake) full() <-chan struct{} {
	if i.held.Load() < i.limit {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.held.Load() < i.limit {
		return nil
	}
	if i.room == nil {
		i.room = make(chan struct{})
	}
	return i.room
}

// boundedConn is read only while there is room for more.
type boundedConn struct {
	net.Conn
	intake *intake
	closed chan struct{}
	once   sync.Once
}

func newBoundedConn(conn net.Conn, in *intake) *boundedConn {
	return &boundedConn{Conn: conn, intake: in, closed: make(chan struct{})}
}

// Read implements net.Conn.
func (c *boundedConn) Read(p []byte) (int, error) {
	for waited := false; ; waited = true {
		room := c.intake.full()
		if room == nil {
			if waited {
				// The library's deadline finds a broker that is silent. It was us who
				// did not listen.
				if err := c.SetReadDeadline(time.Now().Add(3 * heartbeat)); err != nil {
					return 0, err
				}
			}
			return c.Conn.Read(p)
		}
		select {
		case <-room:
		case <-c.closed:
			return 0, net.ErrClosed
		}
	}
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
