package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"chat-messaging/migrations"
	"chat-messaging/pipeline"
	"chat-messaging/queries"
)

func newDemo(load settings) *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the service at work, from message to event",
		Long: `Start the service, send it a conversation over AMQP and print what becomes of each
message. Everything that the demo makes has names of its own, a schema and a few
queues, and is removed at the end. It exits 0 only if every outcome is right.

With --keep the service has its configured names, the conversation is a short one
of valid messages, and the service goes on until Ctrl-C.`,
		Example: `  chat-messaging demo
  chat-messaging demo --keep`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(demoSettings()...)
			if err != nil {
				return err
			}
			d := &demo{out: cmd.OutOrStdout(), logs: cmd.ErrOrStderr(), cfg: cfg}
			if len(cfg.Key) == 0 {
				// A key for this run: the API is there, and nobody outside can sign.
				d.cfg.Key = Secret(rand.Text() + rand.Text())
			}
			if keep {
				return d.keep(cmd.Context())
			}
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "go on serving until Ctrl-C")
	return cmd
}

// demoSettings is every setting but KEY, which a demo can do without.
func demoSettings() []string {
	var names []string
	for name := range configSpecs() {
		if name != "KEY" {
			names = append(names, name)
		}
	}
	return names
}

// demo is one run.
type demo struct {
	cfg  Config
	out  io.Writer
	logs io.Writer
	db   *queries.DB
	// ownNames: the names are the demo's own, and go with it.
	ownNames bool
}

func (d *demo) say(format string, args ...any) {
	_, _ = fmt.Fprintf(d.out, format+"\n", args...)
}

// demoPatience bounds each wait of the demo.
const demoPatience = 30 * time.Second

// run shows every kind of outcome in a corner of its own.
func (d *demo) run(ctx context.Context) error {
	cleanUp, err := d.isolate(ctx)
	if err != nil {
		return err
	}
	defer cleanUp()
	return d.whileServing(ctx, func(ctx context.Context) error {
		return d.play(ctx, fullScript)
	})
}

// keep shows a short conversation on the configured names and goes on.
func (d *demo) keep(ctx context.Context) error {
	d.cfg.LogFormat = "text"
	return d.whileServing(ctx, func(ctx context.Context) error {
		if err := d.play(ctx, shortScript); err != nil {
			return err
		}
		d.say("\nThe service is running; Ctrl-C stops it. In another terminal, with the same environment:\n"+
			"  bin/%[1]s watch                              prints events as they are dispatched\n"+
			"  bin/%[1]s chat --users 1,2                   prints the id of their chat\n"+
			"  bin/%[1]s send --chat ID --from 1 --to 2 --body \"Hello\"\n"+
			"  curl %[2]s/readyz\n", program, d.url())
		w := &watcher{options: watchOptions{output: "text"}, out: d.out}
		return w.watch(ctx, d.cfg, newLogger(d.logs, "warn", "text"), nil)
	})
}

func (d *demo) url() string {
	return "http://localhost" + d.cfg.HTTPAddr[strings.LastIndex(d.cfg.HTTPAddr, ":"):]
}

// isolate gives the demo names of its own, and returns what removes them.
func (d *demo) isolate(ctx context.Context) (func(), error) {
	id := strings.ReplaceAll(uuid.NewString(), "-", "")[:8]
	for _, name := range []*string{
		&d.cfg.DatabaseExchangeName, &d.cfg.DatabaseQueueName, &d.cfg.DeliveryExchangeName, &d.cfg.PoisonQueueName,
	} {
		*name = "demo." + id + "." + *name
	}
	d.ownNames = true
	d.cfg.AMQPDeclare, d.cfg.DeliveryRouting, d.cfg.HTTPAddr = true, "fanin", "127.0.0.1:0"
	d.cfg.LogLevel = "error"
	d.cfg.Components = commaList{componentPipeline, componentRelay, componentHTTP}

	admin, err := queries.Open(queries.Config{URL: string(d.cfg.DatabaseURL), MaxConns: 1})
	if err != nil {
		return nil, err
	}
	schema := "demo_" + id
	if _, err := admin.ExecContext(ctx, "CREATE SCHEMA "+schema); err != nil {
		_ = admin.Close()
		return nil, fmt.Errorf("making a schema for the demo: %w", err)
	}
	u, err := url.Parse(string(d.cfg.DatabaseURL))
	if err != nil {
		_ = admin.Close()
		return nil, errors.New("the demo needs DATABASE_URL in its postgres:// form")
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	d.cfg.DatabaseURL = SecretURL(u.String())
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), demoPatience)
		defer cancel()
		_, err := admin.ExecContext(ctx, "DROP SCHEMA "+schema+" CASCADE")
		if err := errors.Join(err, admin.Close(), removeTopology(ctx, d.cfg)); err != nil {
			d.say("Cleaning up failed in part: %v", err)
		}
	}, nil
}

// whileServing migrates, runs the service around fn and drains it.
func (d *demo) whileServing(ctx context.Context, fn func(context.Context) error) error {
	app, err := newApp(d.cfg, newLogger(d.logs, d.cfg.LogLevel, d.cfg.LogFormat))
	if err != nil {
		return err
	}
	d.db = app.db
	if _, err := migrations.Up(ctx, app.db.DB.DB); err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	if err := app.Listen(); err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- app.Run(serving) }()
	shown := make(chan error, 1)
	go func() { shown <- fn(serving) }()
	select {
	case err := <-ended: // before its time, or at Ctrl-C
		stop()
		<-shown
		return err
	case err := <-shown:
		stop()
		return errors.Join(err, <-ended)
	}
}

// removeTopology deletes the queues and exchanges of an isolated demo.
func removeTopology(ctx context.Context, cfg Config) error {
	conn, err := pipeline.NewConnection(string(cfg.RabbitMQURL), program+" demo", newLogger(io.Discard, "error", "text"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, queue := range []string{cfg.DatabaseQueueName, cfg.PoisonQueueName} {
		_, err := ch.QueueDelete(queue, false, false, false)
		errs = append(errs, err)
	}
	for _, exchange := range []string{cfg.DatabaseExchangeName, cfg.DeliveryExchangeName} {
		errs = append(errs, ch.ExchangeDelete(exchange, false, false))
	}
	return errors.Join(errs...)
}
