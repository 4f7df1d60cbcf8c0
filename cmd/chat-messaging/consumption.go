package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"chat-messaging/http"
	"chat-messaging/pipeline"
	"chat-messaging/queries"
)

// consumptionOptions are the flags of pause and resume.
type consumptionOptions struct {
	paused bool
	reason string
	as     string
	form   string
	wait   time.Duration
}

func newPause(load settings) *cobra.Command {
	o := consumptionOptions{paused: true}
	cmd := &cobra.Command{
		Use:   "pause --reason <text>",
		Short: "Stop consuming messages until resume",
		Long: `Every instance settles what it has in hand and takes nothing new; RabbitMQ keeps
the messages. Events that are stored are still dispatched, and REST answers. A
pause outlives restarts. Pausing what is paused changes nothing and exits 0.`,
		Example: `  chat-messaging pause --reason "moving the database" --wait 30s
  chat-messaging pause --reason "a flood from one client" --as ann`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "why, for everybody who looks (required)")
	return o.complete(cmd, load)
}

func newResume(load settings) *cobra.Command {
	var o consumptionOptions
	cmd := &cobra.Command{
		Use:     "resume",
		Short:   "Consume messages again after pause",
		Long:    `Instances consume again within about a second. Resuming what runs changes nothing and exits 0.`,
		Example: `  chat-messaging resume`,
		Args:    cobra.NoArgs,
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "why, for everybody who looks")
	return o.complete(cmd, load)
}

// complete adds what both have.
func (o *consumptionOptions) complete(cmd *cobra.Command, load settings) *cobra.Command {
	operatorFlag(cmd, &o.as)
	outputFlag(cmd, &o.form, formTable, formJSON, formYAML)
	cmd.Flags().DurationVar(&o.wait, "wait", 0, "how long to wait until every instance has obeyed; 0: not at all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.validate(); err != nil {
			return err
		}
		cfg, err := load("DATABASE_URL", "DATABASE_QUEUE_NAME")
		if err != nil {
			return err
		}
		return o.run(cmd.Context(), cfg, cmd.OutOrStdout())
	}
	return cmd
}

func (o *consumptionOptions) validate() error {
	o.reason = strings.TrimSpace(o.reason)
	switch {
	case o.paused && o.reason == "":
		return usagef("--reason must say why, for everybody who looks")
	case utf8.RuneCountInString(o.reason) > http.MaxReasonChars:
		return usagef("--reason must be at most %d characters", http.MaxReasonChars)
	case o.wait < 0:
		return usagef("--wait must not be negative")
	}
	return nil
}

func (o *consumptionOptions) run(ctx context.Context, cfg Config, w io.Writer) error {
	db, err := queries.Open(queries.Config{URL: string(cfg.DatabaseURL), MaxConns: 1})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	by := queries.Operator{Who: operatorAs(o.as), Via: "cli"}
	c, changed, err := db.SetConsumption(ctx, cfg.DatabaseQueueName, o.paused, by, o.reason)
	if err != nil {
		return err
	}
	if o.form == formTable {
		_, err = fmt.Fprintln(w, toldConsumption(c, changed))
	} else {
		err = writeDocument(w, o.form, http.NewConsumption(c))
	}
	if err != nil || o.wait == 0 {
		return err
	}
	return o.await(ctx, db)
}

// toldConsumption says how it is now, and whether that is news.
func toldConsumption(c queries.Consumption, changed bool) string {
	state := "is not paused"
	if c.Paused {
		state = "is paused"
	}
	told := fmt.Sprintf("%s %s", c.Queue, state)
	if !changed {
		told += ", as before"
	}
	if !c.ChangedAt.IsZero() {
		told += fmt.Sprintf(" (%s by %s", c.ChangedAt.Format(time.DateTime+" UTC"), oneLine(c.ChangedBy))
		if c.Reason != "" {
			told += ": " + oneLine(c.Reason)
		}
		told += ")"
	}
	return told
}

// await returns when the heartbeats of all instances say that they have obeyed;
// one that is paused has nothing in hand any more.
func (o *consumptionOptions) await(ctx context.Context, db *queries.DB) error {
	ctx, cancel := context.WithTimeout(ctx, o.wait)
	defer cancel()
	ticker := time.NewTicker(heartbeatInterval / 4)
	defer ticker.Stop()
	asked := time.Now()
	for {
		instances, err := db.Instances(ctx)
		if err != nil {
			return err
		}
		missing := o.disobedient(instances, time.Since(asked))
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not obeyed yet by %s", strings.Join(missing, ", "))
		case <-ticker.C:
		}
	}
}

// disobedient lists the instances that have not obeyed, or not said so since.
func (o *consumptionOptions) disobedient(instances []queries.Instance, since time.Duration) []string {
	var missing []string
	for _, i := range instances {
		if i.Report.Consumer == "" || i.Silent > http.LostAfter {
			continue
		}
		paused := i.Report.Consumer == string(pipeline.Paused)
		if paused != o.paused || i.Silent > since {
			missing = append(missing, fmt.Sprintf("%s/%d", i.Report.Host, i.Report.PID))
		}
	}
	return missing
}
