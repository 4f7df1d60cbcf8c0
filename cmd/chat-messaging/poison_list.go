package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"chat-messaging/http"
	"chat-messaging/queries"
)

func (p *poisonTool) newList() *cobra.Command {
	var out printer
	var before int64
	cmd := &cobra.Command{
		Use:   "list [filter]",
		Short: "List poisoned messages, the newest first",
		Long: `List poisoned messages, the newest first: 50, or as many as --limit says, at most
1000. Without --state those that wait or are being replayed.`,
		Example: `  chat-messaging poison list
  chat-messaging poison list reason:malformed_json,encoding since:2h
  chat-messaging poison list --chat 9010921026965111442 --state any -o json`,
	}
	filter := p.selectFlags(cmd)
	out.flag(cmd)
	cmd.Flags().Int64Var(&before, "before", 0, "go on behind the entry with this `number`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f, err := filter.filter(args)
		if err != nil {
			return err
		}
		if err := out.check(); err != nil {
			return err
		}
		_, db, err := p.open()
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		page, err := db.ListPoisoned(cmd.Context(), openStates(f), before)
		if err != nil {
			return err
		}
		if err := printEntries(cmd, out, page.Entries); err != nil {
			return err
		}
		if page.Next > 0 {
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "There are more: add --before %d\n", page.Next)
		}
		return nothingIf(len(page.Entries) == 0)
	}
	return cmd
}

// openStates is the filter for people who have not said which states they mean.
func openStates(f queries.PoisonFilter) queries.PoisonFilter {
	if len(f.States) == 0 {
		f.States = []queries.PoisonState{queries.PoisonWaiting, queries.PoisonReplaying}
	}
	return f
}

func nothingIf(nothing bool) error {
	if nothing {
		return noMatch("nothing matches")
	}
	return nil
}

func printEntries(cmd *cobra.Command, out printer, entries []queries.Poisoned) error {
	return list(cmd, out, entries, "ID\tSTATE\tREASON\tSTAGE\tCHAT\tSENDER\tFIRST SEEN\tBYTES\tREPLAYED\tDETAIL", func(e queries.Poisoned) ([]any, bool) {
		detail := e.Detail
		if e.Note != "" {
			detail = e.Note
		}
		if e.EditedAt != nil {
			detail = "(edited) " + detail
		}
		return []any{
			e.ID, e.State, e.Code, e.Stage, orDash(e.ChatID), orDash(e.SenderID), moment(&e.FirstSeen), e.BodyBytes, e.Attempts,
			shortened(detail, 60),
		}, e.Returned > 0 // it came back from a replay
	})
}

func (p *poisonTool) newGroups() *cobra.Command {
	var out printer
	cmd := &cobra.Command{
		Use:   "groups [filter]",
		Short: "Count poisoned messages by reason",
		Example: `  chat-messaging poison groups
  chat-messaging poison groups since:1h -o json`,
	}
	filter := p.selectFlags(cmd, "limit")
	out.flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f, err := filter.filter(args)
		if err != nil {
			return err
		}
		if err := out.check(); err != nil {
			return err
		}
		_, db, err := p.open()
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		groups, err := db.PoisonGroups(cmd.Context(), openStates(f))
		if err != nil {
			return err
		}
		err = list(cmd, out, groups, "REASON\tSTAGE\tSTATE\tMESSAGES\tFIRST SEEN\tLAST SEEN", func(g queries.PoisonGroup) ([]any, bool) {
			return []any{g.Code, g.Stage, g.State, g.Entries, moment(g.FirstSeen), moment(g.LastSeen)}, false
		})
		return errors.Join(err, nothingIf(len(groups) == 0))
	}
	return cmd
}

// shown is one message as show tells it.
type shown struct {
	Message    *queries.PoisonedMessage `json:"message"`
	History    []queries.PoisonAttempt  `json:"history"`
	Validation http.Verdict             `json:"validation"`
}

func (p *poisonTool) newShow() *cobra.Command {
	var out printer
	var raw bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one message: what it holds, its history, and what validation says now",
		Long: `Show one message. Its text is somebody's: that you looked at it is written into the
audit.`,
		Example: `  chat-messaging poison show 42
  chat-messaging poison show 42 --raw > body.json`,
		Args: cobra.ExactArgs(1),
	}
	out.flag(cmd)
	cmd.Flags().BoolVar(&raw, "raw", false, "only the body that a replay sends, to the byte")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := out.check(); err != nil {
			return err
		}
		cfg, db, err := p.open("MAX_BODY_BYTES")
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		id, err := entryID(cmd.Context(), db, args[0])
		if err != nil {
			return err
		}
		m, history, err := db.PoisonedMessage(cmd.Context(), id)
		if errors.Is(err, queries.ErrNotFound) {
			return noMatch("there is no such message")
		}
		if err != nil {
			return err
		}
		selection, _ := json.Marshal(queries.PoisonFilter{IDs: []int64{id}}) // numbers: cannot fail
		by := p.operator()
		if err := db.RecordAudit(cmd.Context(), queries.AuditRecord{
			Who: by.Who, Via: by.Via, Action: "poison.show", Selection: selection, Affected: 1, Result: queries.AuditDone,
		}); err != nil {
			return err
		}
		switch {
		case raw:
			_, err = cmd.OutOrStdout().Write(m.Outgoing())
			return err
		case out.form != "table":
			return out.one(cmd.OutOrStdout(), shown{m, history, judge(cfg, m, m.Outgoing())})
		default:
			return printMessage(cmd.OutOrStdout(), m, history, judge(cfg, m, m.Outgoing()))
		}
	}
	return cmd
}

// judge is what validation says now of a body of that message.
func judge(cfg Config, m *queries.PoisonedMessage, body []byte) http.Verdict {
	var properties struct {
		ContentEncoding string `json:"content_encoding"`
	}
	// One that is no text is no encoding that validation knows.
	if json.Unmarshal(m.Properties, &properties) != nil {
		properties.ContentEncoding = "unreadable"
	}
	return cfg.inspector()(body, properties.ContentEncoding)
}

func printMessage(out io.Writer, m *queries.PoisonedMessage, history []queries.PoisonAttempt, verdict http.Verdict) error {
	paint := painter(out)
	for _, line := range [][2]any{
		{"ID", fmt.Sprintf("%d  (%s)", m.ID, m.PoisonID)},
		{"State", stateLine(m)},
		{"Reason", fmt.Sprintf("%s: %s: %s", m.Stage, m.Code, m.Detail)},
		{"Now", verdictLine(verdict)},
		{"Chat", orDash(m.ChatID)},
		{"Sender", orDash(m.SenderID)},
		{"Message", orDash(m.ClientMessageID)},
		{"From", fmt.Sprintf("exchange %q, routing key %q, queue %q", m.Exchange, m.RoutingKey, m.Queue)},
		{"Seen", fmt.Sprintf("%s, last %s, %s", moment(&m.FirstSeen), moment(&m.LastSeen), "parked "+counted(m.Copies, "time"))},
		{"Properties", string(m.Properties)},
		{"Headers", string(m.Headers)},
	} {
		_, _ = fmt.Fprintf(out, "%s %s\n", paint("1", fmt.Sprintf("%-11s", line[0])), harmless(fmt.Sprint(line[1])))
	}
	for _, a := range history {
		_, _ = fmt.Fprintf(out, "%s %s\n", paint("1", fmt.Sprintf("%-11s", fmt.Sprintf("Attempt %d", a.Attempt))), harmless(attemptLine(a)))
	}
	printBody(out, paint("1", "Body"), m.Body)
	if m.EditedAt != nil {
		printBody(out, paint("1", "Edited by "+harmless(m.EditedBy)+" at "+moment(m.EditedAt)), m.EditedBody)
	}
	return nil
}

func stateLine(m *queries.PoisonedMessage) string {
	text := string(m.State)
	if m.SettledAt != nil {
		text += fmt.Sprintf(" by %s at %s", m.SettledBy, moment(m.SettledAt))
	}
	if m.Note != "" {
		text += ": " + m.Note
	}
	if m.Returned > 0 {
		text += fmt.Sprintf(" (it has come back from %s)", counted(m.Attempts, "replay"))
	}
	return text
}

func verdictLine(v http.Verdict) string {
	switch v.Outcome {
	case http.OutcomeValid:
		return "validation takes it; whether it may be sent to its chat is decided when it is"
	case http.OutcomeRejected:
		return fmt.Sprintf("validation would reject it and tell its sender: %s: %s", v.Code, v.Detail)
	default:
		return fmt.Sprintf("validation would poison it again: %s: %s", v.Code, v.Detail)
	}
}

func attemptLine(a queries.PoisonAttempt) string {
	text := "poisoned"
	if a.Attempt > 0 {
		text = "sent " + moment(a.ConfirmedAt)
		if a.Edited {
			text = "edited, " + text
		}
		if a.Error != "" {
			text = "not sent: " + a.Error
		}
		if a.ReturnedAt != nil {
			text += ", came back"
		}
	}
	if a.ReturnedAt != nil {
		text += fmt.Sprintf(" %s: %s: %s: %s", moment(a.ReturnedAt), a.Stage, a.Code, a.Detail)
	}
	return text
}

func printBody(out io.Writer, title string, body []byte) {
	const most = 64 << 10
	_, _ = fmt.Fprintf(out, "\n%s, %d bytes\n", title, len(body))
	if len(body) > most {
		body = body[:most]
	}
	if utf8.Valid(body) {
		_, _ = fmt.Fprintln(out, harmlessBut(string(body), "\n\t"))
		return
	}
	_, _ = fmt.Fprintf(out, "%q\n", body)
}
