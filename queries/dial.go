package queries

import (
	"context"
	"net"
	"time"

	"github.com/lib/pq"
)

// silence is how long a server that has stopped answering is believed alive. The
// driver itself waits for ever on a connection whose packets vanish, whatever the
// statement's context says.
const silence = 15 * time.Second

// dialer gives up on connections that carry nothing: keepalives find a peer that
// is gone while we wait for it, the user timeout one that does not take what we
// send.
type dialer struct{ net.Dialer }

var _ pq.DialerContext = (*dialer)(nil)

func newDialer() *dialer {
	d := &dialer{net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silence / 3, Interval: silence / 3, Count: 2},
	}}
	d.Control = setUserTimeout
	return d
}

// DialTimeout implements pq.Dialer.
func (d *dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}
