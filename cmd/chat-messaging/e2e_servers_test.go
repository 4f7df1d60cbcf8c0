package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"chat-messaging/cmd/services/instance"
)

// servers are a private Postgres and a private RabbitMQ.
type servers struct {
	postgres *instance.Postgres
	rabbit   *instance.RabbitMQ
}

func startServers(t *testing.T) *servers {
	t.Helper()
	ctx := within(t, 2*patience)
	s := &servers{}
	var g errgroup.Group
	postgres, rabbit := t.TempDir(), t.TempDir()
	g.Go(func() (err error) {
		s.postgres, err = instance.StartPostgres(ctx, instance.PostgresConfig{Dir: postgres})
		return err
	})
	g.Go(func() (err error) {
		s.rabbit, err = instance.StartRabbitMQ(ctx, instance.RabbitMQConfig{Dir: rabbit})
		return err
	})
	t.Cleanup(func() {
		if s.postgres != nil {
			require.NoError(t, s.postgres.Kill())
		}
		if s.rabbit != nil {
			require.NoError(t, s.rabbit.Kill())
		}
	})
	require.NoError(t, g.Wait())
	return s
}
