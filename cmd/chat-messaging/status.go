package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"chat-messaging/http"
	"chat-messaging/pipeline"
	"chat-messaging/queries"
)

// statusTimeout bounds one look at the database and the broker.
const statusTimeout = 6 * time.Second

// errUnhealthy makes status exit 1. The reasons are in its answer.
var errUnhealthy = errors.New("not healthy")

type statusOptions struct {
	watch bool
	every time.Duration
	form  string
}

func newStatus(load settings, environ []string) *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the whole service on one screen",
		Long: `Show rates, window, batches, outbox, queues, poisoned messages, whether consumption
is paused, and every instance. It asks Postgres, where instances leave a report
every two seconds, and RabbitMQ; so it works from any machine that reaches both.

It exits 0 if the service is healthy and 1 if not, and says why. A pause is no
fault. With --watch it shows the status again and again until Ctrl-C; in a pipe
that is one block, or one line of JSON, after the other.`,
		Example: `  chat-messaging status
  chat-messaging status --watch
  chat-messaging status -o json | jq .reasons`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "show it again and again")
	cmd.Flags().DurationVar(&o.every, "every", 2*time.Second, "how often, with --watch")
	outputFlag(cmd, &o.form, formTable, formJSON, formYAML)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if o.every < 100*time.Millisecond {
			return usagef("--every must be at least 100ms")
		}
		cfg, err := load("DATABASE_URL", "RABBITMQ_URL", "DATABASE_QUEUE_NAME", "POISON_QUEUE_NAME")
		if err != nil {
			return err
		}
		return o.run(cmd.Context(), cfg, newScreen(cmd.OutOrStdout(), environ))
	}
	return cmd
}

func (o statusOptions) run(ctx context.Context, cfg Config, to screen) error {
	db, err := queries.Open(queries.Config{URL: string(cfg.DatabaseURL), MaxConns: 2})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	conn, err := pipeline.NewConnection(string(cfg.RabbitMQURL), program+" status", slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	source := http.StatusSource{DB: db, InputQueue: cfg.DatabaseQueueName, Queues: cfg.queues(conn)}
	ticker := time.NewTicker(o.every)
	defer ticker.Stop()
	if o.watch && to.terminal && o.form == formTable {
		if _, err := io.WriteString(to, "\x1b[2J"); err != nil {
			return err
		}
	}
	for first := true; ; first = false {
		limited, cancel := context.WithTimeout(ctx, statusTimeout)
		s := http.ReadStatus(limited, source)
		cancel()
		if !first && ctx.Err() != nil {
			return nil // half a look is none, and the one before has been shown
		}
		if err := o.show(to, s, first); err != nil {
			return err
		}
		if !o.watch {
			if !s.Healthy {
				return errUnhealthy
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// show writes one status in the form that was asked for.
func (o statusOptions) show(to screen, s http.Status, first bool) error {
	switch {
	case o.form == formJSON && o.watch:
		return json.NewEncoder(to).Encode(s)
	case o.form == formYAML && o.watch && !first:
		if _, err := io.WriteString(to, "---\n"); err != nil {
			return err
		}
		return writeDocument(to, o.form, s)
	case o.form != formTable:
		return writeDocument(to, o.form, s)
	}
	var page bytes.Buffer
	printStatus(&page, to, s)
	if o.watch && to.terminal {
		return to.redraw(page.Bytes())
	}
	if !first {
		page = *bytes.NewBuffer(append([]byte("\n"), page.Bytes()...))
	}
	_, err := to.Write(page.Bytes())
	if err != nil {
		return fmt.Errorf("writing the status: %w", err)
	}
	return nil
}
