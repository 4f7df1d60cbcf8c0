package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"chat-messaging/queries"
)

const poisonLong = `Look through the messages that could not be processed, and replay, mend or discard
them. They are in Postgres, where the component poison collects them from the
poison queue.

A selection is a filter, the same here, in the console and over REST: flags, or
words such as reason:malformed_json since:2h, which may also be mixed. What changes
anything shows first how many messages it is about; --dry-run ends there, and
--yes does not ask.

A call that nothing matched exits with 3, one that was done in part with 4.`

func newPoison(load settings) *cobra.Command {
	p := &poisonTool{load: load}
	cmd := &cobra.Command{
		Use:   "poison",
		Short: "Look through poisoned messages, replay, mend and discard them",
		Long:  poisonLong,
		Example: `  chat-messaging poison groups
  chat-messaging poison list reason:malformed_json since:2h
  chat-messaging poison show 42
  chat-messaging poison edit 42 --file mended.json --replay
  chat-messaging poison replay --reason data_error --rate 500`,
	}
	cmd.PersistentFlags().StringVar(&p.who, "as", "", "your `name` for the audit (default: the user of this terminal)")
	cmd.AddCommand(
		p.newList(), p.newGroups(), p.newShow(), p.newReplay(), p.newEdit(), p.newDiscard(), p.newExport(), p.newImport(),
		p.newPurge(), p.newAudit(), p.newJobs(),
	)
	requireVerb(cmd)
	return cmd
}

// poisonTool is what the verbs of poison share.
type poisonTool struct {
	load settings
	who  string
}

// open reads the settings and returns a pool on the database.
func (p *poisonTool) open(more ...string) (Config, *queries.DB, error) {
	cfg, err := p.load(append([]string{"DATABASE_URL"}, more...)...)
	if err != nil {
		return Config{}, nil, err
	}
	db, err := queries.Open(queries.Config{URL: string(cfg.DatabaseURL), ApplicationName: program + " poison", MaxConns: 4})
	return cfg, db, err
}

// operator is who the audit names.
func (p *poisonTool) operator() queries.Operator {
	name := p.who
	if name == "" {
		if current, err := user.Current(); err == nil {
			name = current.Username
		}
	}
	return queries.Operator{Who: cmp.Or(name, "unknown"), Via: "cli"}
}

// selection are the flags that make a filter.
type selection struct {
	values map[string]*[]string
}

// selectFlags adds the filter's flags to a command, but for those left out.
func (p *poisonTool) selectFlags(cmd *cobra.Command, without ...string) *selection {
	s := &selection{values: map[string]*[]string{}}
	for field, about := range map[string]string{
		"reason":   "only these `codes`, separated by commas",
		"stage":    "only what these `stages` have refused",
		"state":    "only these `states`: waiting, replaying, replayed, discarded or any",
		"chat":     "only messages of the chat with this `id`",
		"sender":   "only messages of the user with this `id`",
		"since":    "only what was first seen since this `time`, or this long ago: 2026-01-31T15:04:05Z, 2h, 7d",
		"until":    "only what was first seen before this `time`",
		"contains": "only what has this `text` in its first 16 KiB, in upper or lower case",
		"id":       "only the entries with these `numbers` or poison ids",
		"limit":    "at most `n`: of a list the newest, of a job the oldest",
	} {
		if slices.Contains(without, field) {
			continue
		}
		s.values[field] = cmd.Flags().StringArray(field, nil, about)
	}
	cmd.Args = cobra.ArbitraryArgs
	_ = cmd.RegisterFlagCompletionFunc("reason", p.completeReasons) // the flag exists
	if s.values["state"] != nil {
		_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(
			[]string{"waiting", "replaying", "replayed", "discarded", "any"}, cobra.ShellCompDirectiveNoFileComp))
	}
	cmd.ValidArgsFunction = p.completeFilter
	return s
}

// filter reads the flags and the words of the filter language.
func (s *selection) filter(words []string) (queries.PoisonFilter, error) {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	terms := slices.Clone(words)
	for field, values := range s.values {
		for _, value := range *values {
			terms = append(terms, field+`:"`+quote.Replace(value)+`"`)
		}
	}
	f, err := queries.ParsePoisonFilterText(strings.Join(terms, " "), time.Now())
	if err != nil {
		return f, usagef("%v", err)
	}
	return f, nil
}

// completeReasons offers the reasons that there are.
func (p *poisonTool) completeReasons(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	_, db, err := p.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer func() { _ = db.Close() }()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(contextOf(cmd)), 2*time.Second)
	defer cancel()
	groups, err := db.PoisonGroups(ctx, queries.PoisonFilter{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	counts := map[string]int64{}
	for _, g := range groups {
		counts[g.Code] += g.Entries
	}
	var offers []string
	for code, n := range counts {
		offers = append(offers, fmt.Sprintf("%s\t%s", code, counted(int(n), "message")))
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// completeFilter offers the words of the filter language.
func (p *poisonTool) completeFilter(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
	if !strings.HasPrefix(start, "reason:") {
		var offers []string
		for _, field := range queries.PoisonFilterFields {
			offers = append(offers, field+":")
		}
		return offers, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	}
	reasons, directive := p.completeReasons(cmd, args, "")
	for i := range reasons {
		reasons[i] = "reason:" + reasons[i]
	}
	return reasons, directive
}

func contextOf(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

// onTerminal tells whether the stream is a terminal.
func onTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}

// confirm asks on the terminal; without one, yes has to be said by --yes.
func confirm(cmd *cobra.Command, yes bool, question string) error {
	if yes {
		return nil
	}
	if !onTerminal(cmd.InOrStdin()) {
		return usagef("%s Nobody can be asked here: add --yes if that is meant", question)
	}
	_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s [y/N] ", question)
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return exitError{code: exitFailed, message: "nothing was done"}
}

// entryID finds the entry that is meant by a number or a poison id.
func entryID(ctx context.Context, db *queries.DB, text string) (int64, error) {
	if id, err := strconv.ParseInt(text, 10, 64); err == nil {
		return id, nil
	}
	f, err := queries.ParsePoisonFilter(map[string][]string{"id": {text}}, time.Now())
	if err != nil || len(f.PoisonIDs) != 1 {
		return 0, usagef("%.60q is neither the number of an entry nor a poison id", text)
	}
	page, err := db.ListPoisoned(ctx, f, 0)
	if err != nil {
		return 0, err
	}
	if len(page.Entries) == 0 {
		return 0, noMatch("there is no such message")
	}
	return page.Entries[0].ID, nil
}

// exitError ends the program with a code of its own.
type exitError struct {
	code    int
	message string
}

func (e exitError) Error() string { return e.message }

func noMatch(message string) error { return exitError{code: exitNothing, message: message} }
