package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"chat-messaging/migrations"
)

const verbServe = "serve"

func newServe(load settings) *cobra.Command {
	var migrate bool
	cmd := &cobra.Command{
		Use:   verbServe,
		Short: "Run the service until SIGTERM",
		Long: `Consume messages, dispatch events and answer requests, as COMPONENTS says. The
service starts whatever is away and waits for it: /healthz tells that it lives,
/readyz what it waits for.

SIGTERM or Ctrl-C stops the intake, finishes what is in hand within
SHUTDOWN_GRACE and exits 0; a second one exits 1 at once.

A pipeline or a relay uses half of the processors, which is faster than all of
them, and leaves the rest to others; GOMAXPROCS says otherwise.

On Linux timers may be a millisecond late, which saves up to a quarter of the
processor time. The process sets that and begins itself anew, unless it was
started with another timer slack than the usual 50µs, or with
CHAT_MESSAGING_KEEP_TIMERS=1.`,
		Example: `  chat-messaging serve
  chat-messaging serve --migrate
  COMPONENTS=pipeline,relay PREFETCH=5000 chat-messaging serve`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load()
			if err != nil {
				return err
			}
			// Whoever reads the log may die: that must not end the service, which
			// a write to a broken pipe does by default.
			signal.Ignore(syscall.SIGPIPE)
			if os.Getenv("GOMAXPROCS") == "" {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors(cfg, runtime.GOMAXPROCS(0))))
			}
			sink := newLogSink(cmd.ErrOrStderr(), cfg.LogLevel, cfg.LogFormat)
			defer sink.Close()
			logger := newLogger(sink, cfg.LogLevel, cfg.LogFormat)
			for _, warning := range cfg.Warnings() {
				logger.Warn("a setting is not fit for production", "reason", warning)
			}
			logger.Info("configuration", "config", cfg)
			logSchedule(logger)
			app, err := newApp(cfg, logger)
			if err != nil {
				return err
			}
			if migrate {
				applied, err := migrations.Up(cmd.Context(), app.db.DB.DB)
				if err != nil {
					return fmt.Errorf("migrating: %w", err)
				}
				for _, m := range applied {
					logger.Info("migrated", "version", m.Version, "name", m.Name)
				}
			}
			return serve(cmd.Context(), app)
		},
	}
	cmd.Flags().BoolVar(&migrate, "migrate", false, "apply pending migrations first")
	return cmd
}

// logSchedule tells what the process has made of the machine.
func logSchedule(logger *slog.Logger) {
	attributes := []any{"processors", runtime.GOMAXPROCS(0), "of", runtime.NumCPU()}
	if slack, err := slackOfThread(); err == nil {
		attributes = append(attributes, "timer_slack", slack)
	}
	logger.Info("schedule", attributes...)
}

func serve(ctx context.Context, app *App) error {
	if err := app.Listen(); err != nil {
		return err
	}
	return app.Run(ctx)
}
