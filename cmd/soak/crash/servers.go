package crash

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"chat-messaging/cmd/services/instance"
)

// Servers are a Postgres and a RabbitMQ that may be killed.
type Servers struct {
	postgres *instance.Postgres
	rabbitmq *instance.RabbitMQ

	databaseKills, brokerKills atomic.Int64
}

// StartServers starts them in a folder. Volatile saves the waiting for the disk,
// which a process that is killed does not need; but a commit must have left the
// process before it is reported, or it dies with it. The caller closes them even
// after an error.
func StartServers(ctx context.Context, dir string, volatile bool) (*Servers, error) {
	s := &Servers{}
	var g errgroup.Group
	g.Go(func() (err error) {
		s.postgres, err = instance.StartPostgres(ctx, instance.PostgresConfig{
			Dir: filepath.Join(dir, "postgres"), Volatile: volatile,
			Settings: map[string]string{"max_connections": "300", "synchronous_commit": "on"},
		})
		return err
	})
	g.Go(func() (err error) {
		s.rabbitmq, err = instance.StartRabbitMQ(ctx, instance.RabbitMQConfig{Dir: filepath.Join(dir, "rabbitmq")})
		return err
	})
	if err := g.Wait(); err != nil {
		return s, fmt.Errorf("starting the servers: %w", err)
	}
	return s, nil
}

// Close ends them. It is safe on servers that did not all start.
func (s *Servers) Close() error {
	var errs []error
	if s.postgres != nil {
		errs = append(errs, s.postgres.Kill())
	}
	if s.rabbitmq != nil {
		errs = append(errs, s.rabbitmq.Kill())
	}
	return errors.Join(errs...)
}

// serverStart bounds the start of a server behind a kill, recovery included.
const serverStart = 2 * time.Minute

// KillDatabase kills Postgres and starts it again.
func (s *Servers) KillDatabase(ctx context.Context) error {
	s.databaseKills.Add(1)
	ctx, cancel := context.WithTimeout(ctx, serverStart)
	defer cancel()
	if err := s.postgres.Kill(); err != nil {
		return fmt.Errorf("killing Postgres: %w", err)
	}
	return s.postgres.Start(ctx)
}

// KillBroker kills RabbitMQ and starts it again.
func (s *Servers) KillBroker(ctx context.Context) error {
	s.brokerKills.Add(1)
	ctx, cancel := context.WithTimeout(ctx, serverStart)
	defer cancel()
	if err := s.rabbitmq.Kill(); err != nil {
		return fmt.Errorf("killing RabbitMQ: %w", err)
	}
	return s.rabbitmq.Start(ctx)
}
