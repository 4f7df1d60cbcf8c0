package instance_test

import (
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/services/instance"
)

// One server for all of it, because each takes seconds of processor time to start.
func TestRabbitMQFaults(t *testing.T) {
	t.Parallel()

	r := startRabbitMQ(t, instance.RabbitMQConfig{Settings: map[string]string{"heartbeat": "7"}})
	ctx := within(t, 3*time.Minute)

	conn, channel := dial(t, r.URL())
	require.Equal(t, 7*time.Second, conn.Config.Heartbeat, "the given settings are used")

	confirmed := publish(t, channel, "kept", "still here")
	require.True(t, confirmed)

	ctlTells(t, r)
	pausedHangsUntilContinued(t, r, channel)
	killedKeepsWhatWasConfirmed(t, r, conn)

	require.NoError(t, r.Stop(ctx))
	require.False(t, r.Running())
	require.Zero(t, r.PID())

	_, err := r.Ctl(ctx, "list_queues")
	require.ErrorIs(t, err, instance.ErrNotRunning)
}

// publish declares a quorum queue and puts a message into it.
func publish(t *testing.T, channel *amqp.Channel, queue, body string) (confirmed bool) {
	t.Helper()

	_, err := channel.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
	require.NoError(t, err)
	require.NoError(t, channel.Confirm(false))

	confirmation, err := channel.PublishWithDeferredConfirmWithContext(t.Context(), "", queue, true, false,
		amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(body)})
	require.NoError(t, err)

	confirmed, err = confirmation.WaitContext(within(t, time.Minute))
	require.NoError(t, err)

	return confirmed
}

func ctlTells(t *testing.T, r *instance.RabbitMQ) {
	t.Helper()

	out, err := r.Ctl(t.Context(), "list_queues", "--silent", "name", "type")
	require.NoError(t, err)
	require.Equal(t, "kept\tquorum\n", out)

	_, err = r.Ctl(t.Context(), "no_such_command")
	require.ErrorContains(t, err, "no_such_command")
}

func pausedHangsUntilContinued(t *testing.T, r *instance.RabbitMQ, channel *amqp.Channel) {
	t.Helper()
	require.NoError(t, r.Pause())

	answered := make(chan error, 1)
	go func() { answered <- channel.Qos(1, 0, false) }()

	select {
	case err := <-answered:
		require.Fail(t, "a paused server answered", "%v", err)
	case <-time.After(300 * time.Millisecond):
	}

	require.NoError(t, r.Continue())
	require.NoError(t, <-answered)
}

func killedKeepsWhatWasConfirmed(t *testing.T, r *instance.RabbitMQ, conn *amqp.Connection) {
	t.Helper()

	lost, url, ctx := conn.NotifyClose(make(chan *amqp.Error, 1)), r.URL(), within(t, time.Minute)
	require.NoError(t, r.Flush(ctx))
	require.NoError(t, r.Kill())
	require.NotNil(t, <-lost)
	require.False(t, r.Running())

	require.NoError(t, r.Start(ctx))
	require.Equal(t, url, r.URL())

	conn, channel := dial(t, url)
	delivery, ok, err := channel.Get("kept", true)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "still here", string(delivery.Body))
	require.NoError(t, conn.Close())
}
