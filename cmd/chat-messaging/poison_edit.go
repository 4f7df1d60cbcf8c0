package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"chat-messaging/http"
	"chat-messaging/queries"
)

// editing is one call of edit.
type editing struct {
	file   string
	body   string
	revert bool
	replay bool
	force  bool
	yes    bool
	dryRun bool
	out    printer
}

func (p *poisonTool) newEdit() *cobra.Command {
	e := editing{out: printer{form: "table"}}
	cmd := &cobra.Command{
		Use:   "edit ID",
		Short: "Set the body that a replay sends; the original is kept",
		Long: `Set the body that a replay sends instead of the original, which is kept beside it.
The new one comes from --body, from --file (- is standard input), or on a terminal
out of $EDITOR. What validation would refuse again is not taken, unless --force.`,
		Example: `  chat-messaging poison edit 42
  chat-messaging poison show 42 --raw | sed 's/“/"/g' | chat-messaging poison edit 42 --file - --replay --yes
  chat-messaging poison edit 42 --revert`,
		Args: cobra.ExactArgs(1),
	}
	f := cmd.Flags()
	f.StringVar(&e.file, "file", "", "the `file` with the new body, - for standard input")
	f.StringVar(&e.body, "body", "", "the new body itself, as `text`")
	f.BoolVar(&e.revert, "revert", false, "take the edit back")
	f.BoolVar(&e.replay, "replay", false, "replay it as well")
	f.BoolVar(&e.force, "force", false, "also if validation refuses it again, or it was replayed too often")
	f.BoolVarP(&e.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&e.dryRun, "dry-run", false, "only tell what validation says of the new body")
	e.out.flag(cmd)
	cmd.MarkFlagsMutuallyExclusive("file", "body", "revert")
	cmd.MarkFlagsMutuallyExclusive("revert", "replay")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := e.out.check(); err != nil {
			return err
		}
		return p.edit(cmd, &e, args[0])
	}
	return cmd
}

func (p *poisonTool) edit(cmd *cobra.Command, e *editing, which string) error {
	ctx := cmd.Context()
	cfg, db, err := p.open("MAX_BODY_BYTES", "RABBITMQ_URL", "POISON_RETENTION")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	id, err := entryID(ctx, db, which)
	if err != nil {
		return err
	}
	m, _, err := db.PoisonedMessage(ctx, id)
	if errors.Is(err, queries.ErrNotFound) {
		return noMatch("there is no such message")
	}
	if err != nil {
		return err
	}
	if e.revert {
		if e.dryRun {
			return nil
		}
		return db.RevertPoisoned(ctx, id, p.operator())
	}
	body, err := e.newBody(ctx, cmd, m.Outgoing())
	if err != nil {
		return err
	}
	verdict := judge(cfg, m, body)
	_, _ = fmt.Fprintln(cmd.ErrOrStderr(), harmless(verdictLine(verdict)))
	switch {
	case verdict.Outcome == http.OutcomePoisoned && !e.force:
		return errors.New("the body was not taken: validation would poison it again (--force takes it all the same)")
	case e.dryRun:
		return nil
	}
	if e.replay {
		if err := confirm(cmd, e.yes, "The message is to be edited and replayed."); err != nil {
			return err
		}
	}
	if err := db.EditPoisoned(ctx, id, body, p.operator()); err != nil {
		return err
	}
	if !e.replay {
		return nil
	}
	b := &bulk{kind: queries.JobReplay, past: "replayed", out: e.out, yes: true, most: queries.DefaultMaxAttempts, force: e.force}
	return p.runBulk(cmd, b, queries.PoisonFilter{IDs: []int64{id}})
}

// newBody reads the new body from where the flags say.
func (e *editing) newBody(ctx context.Context, cmd *cobra.Command, old []byte) ([]byte, error) {
	switch {
	case cmd.Flags().Changed("body"):
		return []byte(e.body), nil
	case e.file == "-":
		return io.ReadAll(io.LimitReader(cmd.InOrStdin(), queries.MaxEditedBody+1))
	case e.file != "":
		body, err := os.ReadFile(e.file)
		if err != nil {
			return nil, fmt.Errorf("reading the new body: %w", err)
		}
		return body, nil
	case !onTerminal(cmd.InOrStdin()):
		return nil, usagef("where is the new body? --body, --file, or a terminal for $EDITOR")
	}
	return editInEditor(ctx, old)
}

// editInEditor opens the body in $EDITOR.
func editInEditor(ctx context.Context, old []byte) ([]byte, error) {
	editor := os.Getenv("EDITOR")
	if editor == "" {
		editor = "vi"
	}
	file, err := os.CreateTemp("", "poisoned-*.json")
	if err != nil {
		return nil, fmt.Errorf("making a file to edit: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.Write(old)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("writing the file to edit: %w", err)
	}
	// EDITOR may have arguments; the shell reads it as everybody's shell would.
	command := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", file.Name()) //nolint:gosec // the user's own command
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("running the editor: %w", err)
	}
	return os.ReadFile(file.Name())
}
