package pipeline_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
)

func TestALostConnectionLeavesTheWindowUnconfirmed(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	l := newLink(t, brokerURL())
	p := w.publisher(l.url)
	require.NoError(t, p.Publish(queue, messages(0, 10)...))
	l.swallow("downstream")
	result := make(chan []error, 1)
	go func() { result <- p.PublishEach(context.Background(), queue, messages(10, 60)) }()
	until(t, "everything is in the queue", func() bool { n, _ := w.state(queue); return n == 60 })
	l.cut()
	for _, err := range <-result {
		require.ErrorIs(t, err, pipeline.ErrUnconfirmed)
	}
	require.Error(t, p.Publish(queue, messages(10, 11)...))
	l.heal()
	l.restore()
	require.NoError(t, p.Publish(queue, messages(10, 60)...), "the publisher does not come back")
	require.Equal(t, append(numbers(0, 60), numbers(10, 60)...), deliveredBodies(w.take(queue)))
}

func TestASilentBrokerIsDroppedWhenTheConfirmTimeIsOver(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	l := newLink(t, brokerURL())
	conn := w.connection(l.url)
	p := w.publisher(l.url, func(c *pipeline.PublisherConfig) {
		c.Connection, c.ConfirmTimeout = conn, 300*time.Millisecond
	})
	require.NoError(t, p.Publish(queue, messages(0, 1)...))
	l.swallow("downstream")
	within(t, 5*time.Second, func() {
		for _, err := range p.PublishEach(context.Background(), queue, messages(1, 100)) {
			require.ErrorIs(t, err, pipeline.ErrUnconfirmed)
		}
	})
	until(t, "the connection is dropped", func() bool { return conn.Err() != nil })
	l.heal()
	require.NoError(t, p.Publish(queue, messages(1, 100)...))
	require.NoError(t, conn.Err())
}

// The time runs from one confirm to the next, not over the call.
func TestASlowBrokerIsNotASilentOne(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	l := newLink(t, brokerURL())
	l.slow(60 * time.Millisecond)
	p := w.publisher(l.url, func(c *pipeline.PublisherConfig) {
		c.ConfirmTimeout, c.MaxOutstanding = 2*time.Second, 1
	})
	started := time.Now()
	require.NoError(t, p.Publish(queue, messages(0, 40)...))
	require.Greater(t, time.Since(started), 2*time.Second)
}

func TestTheContextBoundsTheWait(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	l := newLink(t, brokerURL())
	p := w.publisher(l.url)
	require.NoError(t, p.Publish(queue, messages(0, 1)...))
	l.swallow("downstream")
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	msgs := messages(1, 3)
	msgs[0].SetContext(ctx)
	within(t, 3*time.Second, func() {
		err := p.Publish(queue, msgs...)
		require.ErrorIs(t, err, pipeline.ErrUnconfirmed)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// Confirms and returns that nobody waited for must not be taken for those of
// later messages with the same ids.
func TestWhatWasGivenUpDoesNotCountForWhatFollows(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.name()
	l := newLink(t, brokerURL())
	p := w.publisher(l.url, func(c *pipeline.PublisherConfig) { c.MaxOutstanding = 20 })
	require.ErrorIs(t, p.Publish(queue, messages(0, 1)...), pipeline.ErrUnroutable)
	l.slow(300 * time.Millisecond)
	for range 3 {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		for _, err := range p.PublishEach(ctx, queue, messages(0, 20)) {
			require.Error(t, err)
		}
		cancel()
	}
	w.declare(queue, nil)
	for i, err := range p.PublishEach(context.Background(), queue, messages(0, 20)) {
		require.NoError(t, err, "message %d", i)
	}
}

func TestNothingIsLostAndOrderIsKeptWhenConnectionsKeepBreaking(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	l := newLink(t, brokerURL())
	p := w.publisher(l.url)
	const n, window = 3000, 100
	for from := 0; from < n; from += window {
		if from%500 == 0 {
			go l.kill()
		}
		// The window again, from the first that is not confirmed, as the relay does.
		for rest := messages(from, from+window); len(rest) > 0; {
			errs := p.PublishEach(context.Background(), queue, rest)
			confirmed := 0
			for confirmed < len(errs) && errs[confirmed] == nil {
				confirmed++
			}
			rest = rest[confirmed:]
		}
	}
	highest := -1
	for _, body := range deliveredBodies(w.take(queue)) {
		i, err := strconv.Atoi(body)
		require.NoError(t, err)
		require.LessOrEqual(t, i, highest+1, "the first copies are out of order")
		highest = max(highest, i)
	}
	require.Equal(t, n-1, highest)
}

func TestClosingDoesNotHangOnASilentBroker(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"before the first message", "while it waits for confirms", "idle"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			queue := w.queue(nil)
			l := newLink(t, brokerURL())
			conn := w.connection(l.url)
			p := w.publisher(l.url, func(c *pipeline.PublisherConfig) { c.Connection = conn })
			var wg sync.WaitGroup
			publish := func() {
				wg.Go(func() {
					if p.Publish(queue, messages(0, 10)...) == nil {
						t.Error("nobody confirmed")
					}
				})
			}
			switch when {
			case "before the first message":
				l.swallow()
				publish()
			case "while it waits for confirms":
				require.NoError(t, p.Publish(queue, messages(0, 1)...))
				l.swallow("downstream")
				publish()
				until(t, "everything is sent", func() bool { n, _ := w.state(queue); return n == 11 })
			case "idle":
				require.NoError(t, p.Publish(queue, messages(0, 1)...))
				l.swallow()
			}
			within(t, 5*time.Second, func() {
				_ = p.Close()
				_ = p.Close()
				_ = conn.Close()
				_ = conn.Close()
				wg.Wait()
			})
			require.Error(t, p.Publish(queue, messages(0, 1)...))
			require.ErrorIs(t, conn.Err(), pipeline.ErrConnectionClosed)
		})
	}
}

func TestAConnectionThatIsBeingMadeHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	l := newLink(t, brokerURL())
	l.swallow()
	conn := w.connection(l.url)
	p := w.publisher(l.url, func(c *pipeline.PublisherConfig) { c.Connection = conn })
	done := make(chan error, 1)
	go func() { done <- p.Publish("nowhere", message.NewMessage("1", nil)) }()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	within(t, time.Second, func() {
		require.Error(t, conn.Err(), "it is not connected")
		_, err := conn.Channel(ctx)
		require.Error(t, err)
	})
	within(t, 2*time.Second, func() { require.NoError(t, conn.Close()) })
	require.Error(t, <-done)
}
