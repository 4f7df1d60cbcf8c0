package arena

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"chat-messaging/cmd/bench/process"
	"chat-messaging/cmd/services/instance"
	"chat-messaging/pipeline"
	"chat-messaging/queries"
)

// Config says what the servers are like.
type Config struct {
	// Dir is an empty folder for the servers. Required.
	Dir string
	// Postgres and RabbitMQ are further settings of the servers. Default none:
	// their own defaults, with which a commit and a confirm are durable.
	Postgres, RabbitMQ map[string]string
	// Chats is how many chats there are.
	Chats int
	// Stored is how many messages the one database holds that GroundConfig.Stored
	// is about. 0: there is none.
	Stored int
}

// Arena is a Postgres and a RabbitMQ of its own. It serves one goroutine.
type Arena struct {
	cfg      Config
	postgres *instance.Postgres
	rabbitmq *instance.RabbitMQ
	// admin is the server's own database, from which the others are made.
	admin  *queries.DB
	broker *pipeline.Connection
	rounds int
	stored int // messages in the database that holds some

	// PostgresPID and RabbitMQPID are the roots of the servers' processes.
	PostgresPID, RabbitMQPID int
}

// stopTimeout bounds an orderly stop of a server; then it is killed.
const stopTimeout = 30 * time.Second

// Open starts the servers. The caller closes the arena even after an error.
func Open(ctx context.Context, cfg Config, table *process.Table) (*Arena, error) {
	a := &Arena{cfg: cfg}
	var err error
	if a.postgres, err = instance.StartPostgres(ctx, instance.PostgresConfig{
		Dir: filepath.Join(cfg.Dir, "postgres"), Settings: cfg.Postgres,
	}); err != nil {
		return a, err
	}
	if a.rabbitmq, err = instance.StartRabbitMQ(ctx, instance.RabbitMQConfig{
		Dir: filepath.Join(cfg.Dir, "rabbitmq"), Settings: cfg.RabbitMQ,
	}); err != nil {
		return a, err
	}
	if a.admin, err = queries.Open(queries.Config{
		URL: a.postgres.URL(), MaxConns: 2, StatementTimeout: 10 * time.Minute,
	}); err != nil {
		return a, err
	}
	if a.broker, err = pipeline.NewConnection(a.rabbitmq.URL(), "bench", slog.New(slog.DiscardHandler)); err != nil {
		return a, err
	}
	if err := a.findProcesses(ctx, table); err != nil {
		return a, err
	}
	if err := a.makeTemplate(ctx); err != nil {
		return a, err
	}
	return a, a.makeStored(ctx)
}

// Close stops the servers. It is safe on an arena that did not open fully.
func (a *Arena) Close() error {
	var faults []error
	if a.broker != nil {
		faults = append(faults, a.broker.Close())
	}
	if a.admin != nil {
		faults = append(faults, a.admin.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if a.rabbitmq != nil {
		faults = append(faults, a.rabbitmq.Stop(ctx))
	}
	if a.postgres != nil {
		faults = append(faults, a.postgres.Stop(ctx))
	}
	return errors.Join(append(faults, os.RemoveAll(a.cfg.Dir))...)
}

// findProcesses asks each server for its process.
func (a *Arena) findProcesses(ctx context.Context, table *process.Table) error {
	var backend int
	if err := a.admin.GetContext(ctx, &backend, `SELECT pg_backend_pid()`); err != nil {
		return fmt.Errorf("asking Postgres for its process: %w", err)
	}
	var err error
	if a.PostgresPID, err = table.Parent(backend); err != nil {
		return err
	}
	answer, err := a.rabbitmq.Ctl(ctx, "eval", "list_to_integer(os:getpid()).")
	if err != nil {
		return fmt.Errorf("asking RabbitMQ for its process: %w", err)
	}
	if a.RabbitMQPID, err = strconv.Atoi(strings.TrimSpace(answer)); err != nil {
		return fmt.Errorf("asking RabbitMQ for its process: %w", err)
	}
	return nil
}

// Postgres tells the server's version, and the settings that durability hangs on.
func (a *Arena) Postgres(ctx context.Context) (version, durability string, err error) {
	if err := a.admin.GetContext(ctx, &version, `SHOW server_version`); err != nil {
		return "", "", fmt.Errorf("asking Postgres for its version: %w", err)
	}
	version, _, _ = strings.Cut(version, " ") // the rest is the packager's
	const statement = `
SELECT string_agg(name || ' ' || setting, ', ' ORDER BY name)
FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')`
	if err := a.admin.GetContext(ctx, &durability, statement); err != nil {
		return "", "", fmt.Errorf("asking Postgres for its settings: %w", err)
	}
	return version, durability, nil
}

// RabbitMQ tells the server's version.
func (a *Arena) RabbitMQ(ctx context.Context) (string, error) {
	version, err := a.rabbitmq.Ctl(ctx, "version")
	if err != nil {
		return "", fmt.Errorf("asking RabbitMQ for its version: %w", err)
	}
	return strings.TrimSpace(version), nil
}
