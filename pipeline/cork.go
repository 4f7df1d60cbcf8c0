package pipeline

import (
	"fmt"
	"net"
	"sync"
)

// corkBytes is how much a corked connection holds back at most.
const corkBytes = 32 << 10

// corkedConn gathers small writes. The client library writes to the socket once
// for each publishing; while it is corked these go out together, which spares
// both sides most of their system calls. Safe for concurrent use.
type corkedConn struct {
	net.Conn

	mu    sync.Mutex
	corks int
	held  []byte
}

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
