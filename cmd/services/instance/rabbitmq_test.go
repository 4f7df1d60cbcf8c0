package instance_test

import (
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/services/instance"
)

func TestRabbitMQKeepsConfirmedMessagesOverAKill(t *testing.T) {
	t.Parallel()

	r := startRabbitMQ(t, instance.RabbitMQConfig{})
	url, ctx := r.URL(), within(t, 2*time.Minute)

	conn, channel := dial(t, url)
	lost := conn.NotifyClose(make(chan *amqp.Error, 1))

	_, err := channel.QueueDeclare("kept", true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
	require.NoError(t, err)
	require.NoError(t, channel.Confirm(false))

	confirmation, err := channel.PublishWithDeferredConfirmWithContext(ctx, "", "kept", true, false,
		amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("still here")})
	require.NoError(t, err)

	confirmed, err := confirmation.WaitContext(ctx)
	require.NoError(t, err)
	require.True(t, confirmed)
	require.NoError(t, r.Flush(ctx))

	require.NoError(t, r.Kill())
	require.NotNil(t, <-lost)
	require.False(t, r.Running())

	require.NoError(t, r.Start(ctx))
	require.Equal(t, url, r.URL())

	_, channel = dial(t, url)
	delivery, ok, err := channel.Get("kept", true)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "still here", string(delivery.Body))
}

func TestRabbitMQFaultsThatNeedNoRestart(t *testing.T) {
	t.Parallel()

	r := startRabbitMQ(t, instance.RabbitMQConfig{Settings: map[string]string{"heartbeat": "7"}})
	ctx := within(t, 2*time.Minute)

	conn, channel := dial(t, r.URL())
	require.Equal(t, 7*time.Second, conn.Config.Heartbeat, "the given settings are used")

	_, err := channel.QueueDeclare("seen-by-ctl", false, false, false, false, nil)
	require.NoError(t, err)

	out, err := r.Ctl(ctx, "list_queues", "--silent", "name", "messages")
	require.NoError(t, err)
	require.Equal(t, "seen-by-ctl\t0\n", out)

	_, err = r.Ctl(ctx, "no_such_command")
	require.ErrorContains(t, err, "no_such_command")

	require.NoError(t, r.Pause())

	answered := make(chan error, 1)
	go func() {
		_, err := channel.QueueDeclarePassive("seen-by-ctl", false, false, false, false, nil)
		answered <- err
	}()

	select {
	case err := <-answered:
		require.Fail(t, "a paused server answered", "%v", err)
	case <-time.After(300 * time.Millisecond):
	}

	require.NoError(t, r.Continue())
	require.NoError(t, <-answered)

	require.NoError(t, conn.Close())
	require.NoError(t, r.Stop(ctx))
	require.False(t, r.Running())

	_, err = r.Ctl(ctx, "list_queues")
	require.Error(t, err)
}
