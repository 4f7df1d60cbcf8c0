package http

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// connections bounds the number of open connections. At the bound a new one
// costs the connection that has been idle longest its life: connections that are
// only held open cannot keep anybody out, and a client that loses an idle one
// opens another.
type connections struct {
	limit int

	mu   sync.Mutex
	open map[net.Conn]*list.Element // nil while a request is in progress
	idle list.List                  // of net.Conn, longest idle first
}

func newConnections(limit int) *connections {
	return &connections{limit: limit, open: map[net.Conn]*list.Element{}}
}

// track is net/http's ConnState hook. A connection on which no request has
// arrived yet counts as idle.
func (c *connections) track(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.open[conn]; e != nil {
		c.idle.Remove(e)
	}
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(c.open, conn)
	case http.StateActive:
		c.open[conn] = nil
	case http.StateNew, http.StateIdle:
		c.open[conn] = c.idle.PushBack(conn)
	}
	if len(c.open) <= c.limit {
		return
	}
	if longest := c.idle.Front(); longest != nil {
		victim, _ := longest.Value.(net.Conn)
		c.idle.Remove(longest)
		delete(c.open, victim)
		_ = victim.Close()
	}
}
