package instance_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/lib/pq"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"chat-messaging/cmd/services/instance"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// within bounds everything a test waits for.
func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)

	return ctx
}

func startPostgres(t *testing.T, config instance.PostgresConfig) *instance.Postgres {
	t.Helper()

	if config.Dir == "" {
		config.Dir = t.TempDir()
	}

	p, err := instance.StartPostgres(within(t, time.Minute), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Stop(context.Background())) })

	return p
}

func startRabbitMQ(t *testing.T, config instance.RabbitMQConfig) *instance.RabbitMQ {
	t.Helper()

	if config.Dir == "" {
		config.Dir = t.TempDir()
	}

	r, err := instance.StartRabbitMQ(within(t, time.Minute), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Stop(context.Background())) })

	return r
}

func open(t *testing.T, url string) *sql.DB {
	t.Helper()

	connector, err := pq.NewConnector(url)
	require.NoError(t, err)

	db := sql.OpenDB(connector)
	t.Cleanup(func() { require.NoError(t, db.Close()) })

	return db
}

func dial(t *testing.T, url string) (*amqp.Connection, *amqp.Channel) {
	t.Helper()

	conn, err := amqp.Dial(url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() }) // closed already where the test killed the server

	channel, err := conn.Channel()
	require.NoError(t, err)

	return conn, channel
}

// ends fails the test unless something happens soon.
func ends(t *testing.T, what func() bool, because string) {
	t.Helper()
	require.Eventually(t, what, 20*time.Second, 20*time.Millisecond, because)
}
