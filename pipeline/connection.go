package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// ErrConnectionClosed is returned once a Connection has been closed.
var ErrConnectionClosed = errors.New("the broker connection is closed")

// Connection is a connection to the broker that is dialled when a channel is
// asked for and none is open. Who loses a channel asks for another one; pacing
// that is the caller's business. Consuming and publishing use one connection
// each: a broker under a memory or disk alarm stops reading from connections that
// publish, and acknowledgements must still get through.
//
// watermill-amqp's own ConnectionWrapper is not used because it writes its state
// without a lock at every reconnect, never reports that the broker blocks it, and
// cannot be closed while the broker is away.
//
// Safe for concurrent use.
type Connection struct {
	url    string
	name   string
	logger *slog.Logger

	intake  intake        // bounds what its consumers have in hand
	dialing chan struct{} // holds a token while somebody dials
	closing chan struct{} // closed by Close

	mu      sync.Mutex
	conn    *amqp.Connection
	raw     *corkedConn   // under conn, or under a handshake
	blocked chan struct{} // closed once the broker takes publishings again
	closed  bool
	reason  error // why there is no connection, for readiness
}

// NewConnection prepares a connection; name is what the broker's own tools show
// for it. Nothing is dialled yet.
func NewConnection(url, name string, logger *slog.Logger) (*Connection, error) {
	if _, err := amqp.ParseURI(url); err != nil {
		// The library's text may quote the password.
		return nil, errors.New("the broker URL is not a valid amqp:// or amqps:// URL")
	}
	if logger == nil {
		return nil, errors.New("the connection's logger is nil")
	}
	return &Connection{
		url: url, name: name, logger: logger.With("connection", name),
		intake: intake{limit: maxInHand}, dialing: make(chan struct{}, 1), closing: make(chan struct{}),
		reason: errors.New("not connected yet"),
	}, nil
}

// Channel opens a channel, dialling first if need be. It tries once.
func (c *Connection) Channel(ctx context.Context) (*amqp.Channel, error) {
	conn, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	var ch *amqp.Channel
	err = c.await(ctx, func() (err error) {
		ch, err = conn.Channel()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening a channel: %w", err)
	}
	return ch, nil
}

// watch follows one connection to its end.
func (c *Connection) watch(conn *amqp.Connection, closed <-chan *amqp.Error, blocking <-chan amqp.Blocking) {
	for b := range blocking {
		c.mu.Lock()
		switch {
		case c.conn != conn:
		case b.Active && c.blocked == nil:
			c.blocked = make(chan struct{})
			c.logger.Warn("the broker blocks publishing", "reason", b.Reason)
		case !b.Active && c.blocked != nil:
			close(c.blocked)
			c.blocked = nil
			c.logger.Info("the broker takes publishings again")
		}
		c.mu.Unlock()
	}
	reason := <-closed // nil if we closed it
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != conn {
		return
	}
	if c.blocked != nil {
		close(c.blocked)
		c.blocked = nil
	}
	if c.closed {
		return
	}
	c.reason = errors.New("the connection is closed")
	if reason != nil {
		c.reason = fmt.Errorf("the connection is lost: %w", reason)
		c.logger.Warn("lost the connection to the broker", "err", reason)
	}
}

// Unblocked waits while the broker refuses publishings because of an alarm.
func (c *Connection) Unblocked(ctx context.Context) error {
	for {
		c.mu.Lock()
		blocked := c.blocked
		c.mu.Unlock()
		if blocked == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the broker's alarm to clear: %w", context.Cause(ctx))
		case <-c.closing:
			return ErrConnectionClosed
		case <-blocked:
		}
	}
}

// Blocked tells whether the broker refuses publishings because of an alarm.
func (c *Connection) Blocked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blocked != nil
}

// Err returns nil while the connection is up and takes publishings, and why not
// otherwise.
func (c *Connection) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return ErrConnectionClosed
	case c.reason != nil:
		return c.reason
	case c.blocked != nil:
		return errors.New("the broker blocks publishing: a memory or disk alarm is on")
	}
	return nil
}

// Drop cuts the connection without a word, for when the peer does not answer;
// the next Channel dials anew.
func (c *Connection) Drop() {
	if raw := c.socket(); raw != nil {
		_ = raw.Close()
	}
}

// Close closes the connection and everything on it. A broker that does not
// answer within two seconds, as under an alarm, is cut off. Safe to call twice.
func (c *Connection) Close() error {
	c.mu.Lock()
	conn, raw, blocked := c.conn, c.raw, c.blocked != nil
	if !c.closed {
		c.closed = true
		close(c.closing)
	}
	c.mu.Unlock()
	if conn == nil || conn.IsClosed() || blocked {
		if raw != nil {
			// Ends a handshake that is under way, or what an alarm would hold up.
			_ = raw.Close()
		}
		return nil
	}
	// The write of the closing frame may itself block on a full socket.
	cut := time.AfterFunc(2*time.Second, func() { _ = raw.Close() })
	defer cut.Stop()
	if err := conn.CloseDeadline(time.Now().Add(2 * time.Second)); err != nil && !errors.Is(err, amqp.ErrClosed) {
		return fmt.Errorf("closing the broker connection: %w", err)
	}
	return nil
}
