package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// dialTimeout bounds the connecting, and again the handshake.
	dialTimeout = 5 * time.Second
	// heartbeat bounds how long a peer that vanished without a word is believed
	// alive: three times this.
	heartbeat = 5 * time.Second
	// answerGrace is how long an answer of the broker may take after nobody
	// waits for it any more.
	answerGrace = time.Second
)

// open returns the connection, dialled by one caller at a time. The others wait
// for that one, and nobody holds the mutex meanwhile: readiness and Close must
// not hang on a broker that does not answer.
func (c *Connection) open(ctx context.Context) (*amqp.Connection, error) {
	if conn, err := c.current(); conn != nil || err != nil {
		return conn, err
	}
	select {
	case c.dialing <- struct{}{}:
		defer func() { <-c.dialing }()
	case <-c.closing:
		return nil, ErrConnectionClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for a connection to the broker: %w", context.Cause(ctx))
	}
	if conn, err := c.current(); conn != nil || err != nil {
		return conn, err
	}
	return c.dial(ctx)
}

// current returns the connection if it is open, nil if it is to be dialled.
func (c *Connection) current() (*amqp.Connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrConnectionClosed
	}
	if c.conn != nil && !c.conn.IsClosed() {
		return c.conn, nil
	}
	return nil, nil //nolint:nilnil // documented: there is none
}

// socket is what lies under the connection; nil before the first dial.
func (c *Connection) socket() *corkedConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.raw
}

func (c *Connection) dial(ctx context.Context) (*amqp.Connection, error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		defer cancel()
		select {
		case <-c.closing:
		case <-ended:
		}
	}()
	// A handshake knows no context either.
	defer context.AfterFunc(ctx, c.Drop)()
	conn, err := amqp.DialConfig(c.url, amqp.Config{
		Heartbeat:  heartbeat,
		Locale:     "en_US",
		Properties: amqp.Table{"connection_name": c.name, "product": "chat-messaging"},
		Dial: func(network, addr string) (net.Conn, error) {
			return c.connect(ctx, network, addr)
		},
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		if err == nil {
			_ = c.raw.Close()
		}
		return nil, ErrConnectionClosed
	}
	if err != nil {
		c.reason = fmt.Errorf("connecting to the broker: %w", err)
		return nil, c.reason
	}
	if c.blocked != nil { // an alarm of the connection before this one
		close(c.blocked)
		c.blocked = nil
	}
	c.conn, c.reason = conn, nil
	c.logger.Info("connected to the broker", "broker", conn.Properties["version"])
	go c.watch(conn, conn.NotifyClose(make(chan *amqp.Error, 1)), conn.NotifyBlocked(make(chan amqp.Blocking, 8)))
	return conn, nil
}

func (c *Connection) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: 5 * time.Second}
	dialled, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("dialling: %w", err)
	}
	raw := newCorkedConn(newBoundedConn(dialled, &c.intake))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = raw.Close()
		return nil, ErrConnectionClosed
	}
	c.raw = raw
	if ctx.Err() != nil {
		// It ended before there was a socket that Drop could have closed.
		_ = raw.Close()
		return nil, fmt.Errorf("dialling: %w", context.Cause(ctx))
	}
	// Bounds the handshake; the library lifts it once it is done.
	return raw, raw.SetDeadline(time.Now().Add(dialTimeout))
}

// await runs fn, which waits for an answer of the broker. The library's calls
// know no context; so when ctx has ended and the answer does not come soon
// after, the connection is cut, which ends them all. Until then heartbeats tell
// whether somebody is there.
func (c *Connection) await(ctx context.Context, fn func() error) error {
	raw := c.socket()
	done := make(chan struct{})
	defer close(done)
	defer context.AfterFunc(ctx, func() {
		timer := time.NewTimer(answerGrace)
		defer timer.Stop()
		select {
		case <-done:
		case <-timer.C:
			c.logger.Warn("no answer from the broker, dropping the connection")
			if raw != nil {
				_ = raw.Close()
			}
		}
	})()
	return fn()
}

// closeChannel closes a channel, and returns soon whether the broker answers or
// not.
func (c *Connection) closeChannel(ctx context.Context, ch *amqp.Channel) error {
	err := c.await(ctx, ch.Close)
	if err != nil && !errors.Is(err, amqp.ErrClosed) {
		return fmt.Errorf("closing a channel: %w", err)
	}
	return nil
}
