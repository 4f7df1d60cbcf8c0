package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"chat-messaging/queries"
)

// bulk is one call of replay, discard or purge.
type bulk struct {
	kind   queries.JobKind
	past   string // what was done to the messages, for people
	out    printer
	filter *selection
	dryRun bool
	yes    bool
	noWait bool
	rate   int
	most   int
	force  bool
	reason string
}

func (p *poisonTool) newBulk(b *bulk, cmd *cobra.Command, without ...string) *cobra.Command {
	b.filter = p.selectFlags(cmd, without...)
	b.out.flag(cmd)
	f := cmd.Flags()
	f.BoolVar(&b.dryRun, "dry-run", false, "only tell what would be done")
	f.BoolVarP(&b.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&b.noWait, "no-wait", false, "leave the job to the running service")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f, err := b.filter.filter(args)
		if err != nil {
			return err
		}
		if err := b.check(); err != nil {
			return err
		}
		return p.runBulk(cmd, b, f)
	}
	return cmd
}

func (b *bulk) check() error {
	switch {
	case b.rate < 0:
		return usagef("--rate must not be negative")
	case b.most < 1 && b.kind == queries.JobReplay:
		return usagef("--max-attempts must be at least 1")
	case b.kind == queries.JobDiscard && b.reason == "" && !b.dryRun:
		return usagef("a discard needs a reason for those who ask later: --because \"…\"")
	}
	return b.out.check()
}

func (p *poisonTool) newReplay() *cobra.Command {
	b := &bulk{kind: queries.JobReplay, past: "replayed"}
	cmd := &cobra.Command{
		Use:   "replay [filter]",
		Short: "Send messages to where they came from, again",
		Long: `Send waiting messages again: to the exchange and with the routing key, properties and
headers that they came with, and the edited body where there is one; those of a
chat in their original order. A message that was replayed --max-attempts times
already and has come back each time is left out, unless --force.

It is a job: Ctrl-C pauses it, "poison jobs" goes on with it, and no message is
replayed by two jobs.`,
		Example: `  chat-messaging poison replay reason:data_error --dry-run
  chat-messaging poison replay reason:data_error --rate 500 --yes
  chat-messaging poison replay id:42,43`,
	}
	f := cmd.Flags()
	f.IntVar(&b.rate, "rate", 0, "at most this many `messages` a second (default: as fast as the broker takes them)")
	f.IntVar(&b.most, "max-attempts", queries.DefaultMaxAttempts, "leave out what was replayed this `often`")
	f.BoolVar(&b.force, "force", false, "replay it all the same")
	return p.newBulk(b, cmd, "state")
}

func (p *poisonTool) newDiscard() *cobra.Command {
	b := &bulk{kind: queries.JobDiscard, past: "discarded"}
	cmd := &cobra.Command{
		Use:   "discard [filter] --because REASON",
		Short: "Give messages up; their records stay for a while",
		Example: `  chat-messaging poison discard reason:empty --because "health checks of the old gateway"
  chat-messaging poison discard id:42 --because "a test" --yes`,
	}
	cmd.Flags().StringVar(&b.reason, "because", "", "the `reason`, for those who ask later")
	return p.newBulk(b, cmd, "state")
}

func (p *poisonTool) newPurge() *cobra.Command {
	return p.newBulk(&bulk{kind: queries.JobPurge, past: "purged"}, &cobra.Command{
		Use:   "purge [filter]",
		Short: "Delete the records of replayed and discarded messages now",
		Long: `Delete the records of messages that were replayed or discarded, before
POISON_RETENTION does. What waits for a decision is never deleted: discard it
first.`,
		Example: `  chat-messaging poison purge state:discarded until:7d`,
	})
}

// planned is what --dry-run tells.
type planned struct {
	Kind      queries.JobKind       `json:"kind"`
	Selection queries.PoisonFilter  `json:"selection"`
	Preview   queries.PoisonPreview `json:"preview"`
}

// runBulk counts, asks, makes the job and follows it.
func (p *poisonTool) runBulk(cmd *cobra.Command, b *bulk, f queries.PoisonFilter) error {
	ctx := cmd.Context()
	cfg, db, err := p.open("RABBITMQ_URL", "POISON_RETENTION")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	preview, err := db.PreviewPoison(ctx, b.kind, f, b.most, b.force)
	if err != nil {
		return err
	}
	if b.dryRun {
		return b.plan(cmd, planned{b.kind, f, preview})
	}
	if preview.Looping > 0 {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s left out: replayed as often as --max-attempts allows, and back each time. --force replays them.\n",
			counted(int(preview.Looping), "message"))
	}
	if preview.Count == 0 {
		return noMatch("nothing matches")
	}
	if preview.Returned > 0 {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s of them came back from a replay before.\n", counted(int(preview.Returned), "message"))
	}
	question := fmt.Sprintf("%s of %s: to be %s?", counted(int(preview.Count), "message"), counted(int(preview.Chats), "chat"), b.past)
	if err := confirm(cmd, b.yes, question); err != nil {
		return err
	}
	job, err := db.CreateJob(ctx, queries.NewJob{
		Kind: b.kind, Filter: f, Bound: preview.Bound, Expected: &preview.Count, Rate: b.rate, MaxAttempts: b.most, Forced: b.force,
		Reason: b.reason, By: p.operator(),
	})
	switch {
	case errors.Is(err, queries.ErrNothingMatches):
		return noMatch("nothing matches any more: somebody else was faster")
	case err != nil:
		return err
	}
	if b.noWait {
		return printJobs(cmd, b.out, []queries.Job{*job})
	}
	return p.follow(cmd, cfg, db, job, b.out)
}

// plan prints what would be done.
func (b *bulk) plan(cmd *cobra.Command, plan planned) error {
	out := cmd.OutOrStdout()
	if b.out.form != "table" {
		if err := b.out.one(out, plan); err != nil {
			return err
		}
		return nothingIf(plan.Preview.Count == 0)
	}
	_, _ = fmt.Fprintf(out, "%s of %s would be %s", counted(int(plan.Preview.Count), "message"), counted(int(plan.Preview.Chats), "chat"), b.past)
	if plan.Preview.Edited > 0 {
		_, _ = fmt.Fprintf(out, ", %d with an edited body", plan.Preview.Edited)
	}
	if plan.Preview.Returned > 0 {
		_, _ = fmt.Fprintf(out, "; %d came back from a replay before", plan.Preview.Returned)
	}
	if plan.Preview.Looping > 0 {
		_, _ = fmt.Fprintf(out, "; %d more were replayed too often and are left out", plan.Preview.Looping)
	}
	_, _ = fmt.Fprintln(out)
	return nothingIf(plan.Preview.Count == 0)
}

func (p *poisonTool) newJobs() *cobra.Command {
	var out printer
	var limit int
	var openOnly bool
	cmd := &cobra.Command{
		Use:   "jobs",
		Short: "List jobs; pause, resume, cancel and watch them",
		Example: `  chat-messaging poison jobs
  chat-messaging poison jobs pause 7
  chat-messaging poison jobs resume 7`,
		Args: cobra.NoArgs,
	}
	out.flag(cmd)
	cmd.Flags().IntVar(&limit, "limit", 20, "at most `n`")
	cmd.Flags().BoolVar(&openOnly, "open", false, "only those that are not over")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := out.check(); err != nil {
			return err
		}
		_, db, err := p.open()
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		jobs, _, err := db.ListJobs(cmd.Context(), openOnly, 0, limit)
		if err != nil {
			return err
		}
		return errors.Join(printJobs(cmd, out, jobs), nothingIf(len(jobs) == 0))
	}
	cmd.AddCommand(
		p.newSteer("pause", "Stop a job after the messages that are under way", (*queries.DB).PauseJob, false),
		p.newSteer("resume", "Go on with a job, and follow it", (*queries.DB).ResumeJob, true),
		p.newSteer("cancel", "End a job; what it has not done stays as it is", (*queries.DB).CancelJob, false),
		p.newSteer("watch", "Follow a job, and work on it where no service does", nil, true),
	)
	return cmd
}

func (p *poisonTool) newSteer(verb, about string, steer func(*queries.DB, context.Context, int64, queries.Operator) (*queries.Job, error), follow bool) *cobra.Command {
	out := printer{form: "table"}
	cmd := &cobra.Command{Use: verb + " ID", Short: about, Args: cobra.ExactArgs(1)}
	out.flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			return usagef("%.40q is not the number of a job", args[0])
		}
		if err := out.check(); err != nil {
			return err
		}
		cfg, db, err := p.open("RABBITMQ_URL", "POISON_RETENTION")
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		var job *queries.Job
		if steer != nil {
			job, err = steer(db, cmd.Context(), id, p.operator())
		} else {
			job, err = db.Job(cmd.Context(), id)
		}
		switch {
		case errors.Is(err, queries.ErrNotFound):
			return noMatch("there is no such job")
		case err != nil:
			return err
		case follow:
			return p.follow(cmd, cfg, db, job, out)
		}
		return printJobs(cmd, out, []queries.Job{*job})
	}
	return cmd
}

func printJobs(cmd *cobra.Command, out printer, jobs []queries.Job) error {
	return list(cmd, out, jobs, "JOB\tKIND\tSTATE\tDONE\tFAILED\tOF\tBACK\tWHO\tSINCE\tSELECTION", func(j queries.Job) ([]any, bool) {
		selection := j.Filter
		selection.States = nil
		about := selection.String()
		if j.Error != "" {
			about += " (" + j.Error + ")"
		}
		return []any{j.ID, j.Kind, j.State, j.Done, j.Failed, j.Expected, j.Returned, j.Who, moment(&j.CreatedAt), orDash(about)},
			j.State == queries.JobFailed || j.Failed > 0 || j.Returned > 0
	})
}

func (p *poisonTool) newAudit() *cobra.Command {
	var out printer
	var f queries.AuditFilter
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Who has done what, the newest first",
		Example: `  chat-messaging poison audit
  chat-messaging poison audit --action poison.replay --by ann -o ndjson`,
		Args: cobra.NoArgs,
	}
	out.flag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.Who, "by", "", "only what this `person` has done")
	flags.StringVar(&f.Action, "action", "", "only actions that begin like `this`")
	flags.Int64Var(&f.JobID, "job", 0, "only what belongs to the job with this `number`")
	flags.IntVar(&f.Limit, "limit", 50, "at most `n`")
	flags.Int64Var(&f.Before, "before", 0, "go on behind the record with this `number`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := out.check(); err != nil {
			return err
		}
		_, db, err := p.open()
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		records, _, err := db.ListAudit(cmd.Context(), f)
		if err != nil {
			return err
		}
		err = list(cmd, out, records, "ID\tAT\tWHO\tVIA\tACTION\tCOUNT\tRESULT\tJOB\tSELECTION\tDETAIL", func(r queries.AuditRecord) ([]any, bool) {
			job := "-"
			if r.JobID != nil {
				job = strconv.FormatInt(*r.JobID, 10)
			}
			return []any{
				r.ID, moment(&r.At), r.Who, r.Via, r.Action, r.Affected, r.Result, job, selectionText(r.Selection), shortened(r.Detail, 80),
			}, r.Result == queries.AuditFailed || r.Result == queries.AuditRefused
		})
		return errors.Join(err, nothingIf(len(records) == 0))
	}
	return cmd
}

// selectionText is a selection in the filter language, or as it is if it is none.
func selectionText(selection json.RawMessage) string {
	var f queries.PoisonFilter
	if err := json.Unmarshal(selection, &f); err != nil {
		return string(selection)
	}
	f.States = nil
	if text := f.String(); text != "" || string(selection) == "{}" {
		return orDash(text)
	}
	return string(selection)
}
