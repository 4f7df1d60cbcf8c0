package pipeline_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/services/instance"
	"chat-messaging/pipeline"
)

// privateBroker starts a RabbitMQ that nobody else uses, for what must not be
// done to a shared one.
func privateBroker(t testing.TB) *instance.RabbitMQ {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	server, err := instance.StartRabbitMQ(ctx, instance.RabbitMQConfig{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := server.Kill(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func memoryLimit(t testing.TB, server *instance.RabbitMQ, limit ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := server.Ctl(ctx, append([]string{"set_vm_memory_high_watermark"}, limit...)...)
	require.NoError(t, err)
}

// Under a memory alarm the broker stops reading from who publishes, and says so.
// Publishing waits for the end of it, however long that is: giving up would only
// publish the same again. Consuming goes on, and so does closing.
func TestAnAlarmIsWaitedOut(t *testing.T) {
	t.Parallel()
	server := privateBroker(t)
	admin, err := amqp.Dial(server.URL())
	require.NoError(t, err)
	t.Cleanup(func() { _ = admin.Close() })
	w := &wire{t: t, admin: admin, logger: testLogger(t)}
	queue := w.queue(nil)
	w.fill(queue, numbered(0, 50)...)
	told := newReports()
	conn, err := pipeline.NewConnection(server.URL(), "test publish", slog.New(told))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	p := w.publisher(server.URL(), func(c *pipeline.PublisherConfig) {
		c.Connection, c.ConfirmTimeout, c.MaxOutstanding = conn, 300*time.Millisecond, 3000
	})
	other := w.name()
	require.ErrorIs(t, p.Publish(other, messages(0, 1)...), pipeline.ErrUnroutable)
	told.next(t, "connected to the broker")
	w.declare(other, nil)

	memoryLimit(t, server, "absolute", "1MB")
	result := make(chan error, 1)
	go func() { result <- p.Publish(other, messages(0, 20)...) }()
	told.next(t, "the broker blocks publishing")
	require.ErrorContains(t, conn.Err(), "alarm")
	consumed := receive(t, subscribe(t, w.subscriber(server.URL()), queue), 50)
	for _, msg := range consumed {
		msg.Ack()
	}
	ended(t, consumed[49].Context())
	require.Never(t, func() bool { return len(result) > 0 }, time.Second, 50*time.Millisecond, "it gave up")
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	for _, err := range p.PublishEach(ctx, other, messages(100, 101)) {
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}

	memoryLimit(t, server, "0.6")
	told.next(t, "the broker takes publishings again")
	require.NoError(t, <-result)
	require.NoError(t, conn.Err())
	require.Equal(t, numbers(0, 20), deliveredBodies(w.take(other)), "something was published twice")

	memoryLimit(t, server, "absolute", "1MB")
	// More than the sockets hold, so that the writing itself hangs.
	big := messages(0, 2000)
	for _, msg := range big {
		msg.Payload = []byte(strings.Repeat("x", 16<<10))
	}
	go func() { result <- p.Publish(other, big...) }()
	told.next(t, "the broker blocks publishing")
	within(t, 6*time.Second, func() {
		_ = p.Close()
		_ = conn.Close()
		require.Error(t, <-result)
	})
}
