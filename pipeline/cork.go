package pipeline

import (
	"bufio"
	"fmt"
	"net"
	"sync"
)

// corkBytes is how much a corked connection holds back at most.
const corkBytes = 32 << 10

// readBytes is how much is read at a time, if that much has come in.
const readBytes = 32 << 10

// corkedConn gathers small writes. The client library writes to the socket once
// for each publishing; while it is corked these go out together, which spares
// both sides most of their system calls. It also reads more at a time than the
// library's 4 KiB. Safe for concurrent use, by one reader.
type corkedConn struct {
	net.Conn

	reads *bufio.Reader

	mu    sync.Mutex
	corks int
	held  []byte
}

func newCorkedConn(conn net.Conn) *corkedConn {
	return &corkedConn{Conn: conn, reads: bufio.NewReaderSize(conn, readBytes)}
}

// Read implements net.Conn.
func (c *corkedConn) Read(p []byte) (int, error) { return c.reads.Read(p) }

// Write implements net.Conn. What is held back counts as written; if it cannot
// be, the connection is closed, and with it everything that waits for a confirm.
func (c *corkedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.corks == 0 {
		return c.Conn.Write(p)
	}
	c.held = append(c.held, p...)
	if len(c.held) < corkBytes {
		return len(p), nil
	}
	return len(p), c.flush()
}

// cork holds writes back until the uncork that belongs to it.
func (c *corkedConn) cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corks++
}

// uncork sends what is held back, unless somebody else has corked too.
func (c *corkedConn) uncork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.corks--; c.corks > 0 {
		return
	}
	if c.flush() != nil {
		_ = c.Close()
	}
}

func (c *corkedConn) flush() error {
	if len(c.held) == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.held)
	c.held = c.held[:0]
	if err != nil {
		return fmt.Errorf("writing to the broker: %w", err)
	}
	return nil
}
