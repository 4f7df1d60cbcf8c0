package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"chat-messaging/handlers"
	"chat-messaging/http"
	"chat-messaging/queries"
)

func newMessages(load settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "messages",
		Short: "Find stored messages and follow their way",
		Long: `Find stored messages, and see where one of them is: when and where it was stored,
what the policies say of it today, whether its event is dispatched, and what stands
around it. A rejected or poisoned message is not stored: see the poison commands
for the latter. Bodies are hidden unless --body asks for them, which the audit
remembers.`,
		Example: `  chat-messaging messages find --sender 1 --client-id hello-1
  chat-messaging messages show 9010921026965111442-4 --body`,
	}
	requireVerb(cmd)
	cmd.AddCommand(newMessagesFind(load), newMessagesShow(load))
	return cmd
}

// lookupOptions are the flags that both verbs have.
type lookupOptions struct {
	body bool
	as   string
	form string
}

func (o *lookupOptions) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.body, "body", false, "show the bodies; the audit remembers who asked")
	operatorFlag(cmd, &o.as)
	outputFlag(cmd, &o.form, formTable, formJSON, formYAML)
}

// reader is who asks for bodies, nil if nobody does.
func (o *lookupOptions) reader() *queries.Operator {
	if !o.body {
		return nil
	}
	return &queries.Operator{Who: operatorAs(o.as), Via: "cli"}
}

func newMessagesFind(load settings) *cobra.Command {
	var o lookupOptions
	var q http.MessageQuery
	cmd := &cobra.Command{
		Use:   "find",
		Short: "List the messages of a chat or a sender",
		Long: `List the last messages of a chat, or of a sender, or the one with a client's id.

The client's id needs the sender, or the chat, whose members are then tried: no
index begins with it, so by itself it would mean reading every message there is.
The last messages of a sender in all chats mean reading everything that the sender
has ever sent; name the chat too where that is much.`,
		Example: `  chat-messaging messages find --chat 9010921026965111442
  chat-messaging messages find --sender 1 --limit 5
  chat-messaging messages find --chat 9010921026965111442 --client-id hello-1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case q.ChatID < 0 || q.SenderID < 0:
				return usagef("--chat and --sender are positive numbers")
			case q.ChatID == 0 && q.SenderID == 0:
				return usagef("give --chat or --sender, also with --client-id: no index begins with the client's id")
			case q.Limit < 1 || q.Limit > 1000:
				return usagef("--limit must be from 1 to 1000")
			}
			return withLookup(cmd.Context(), load, func(ctx context.Context, l *http.Lookup) error {
				found, err := l.FindAll(ctx, q, o.reader())
				if err != nil {
					return err
				}
				if len(found.Messages)+len(found.Poisoned) == 0 {
					return errNothingFound
				}
				if o.form != formTable {
					return writeDocument(cmd.OutOrStdout(), o.form, found)
				}
				return printFound(cmd.OutOrStdout(), found)
			})
		},
	}
	cmd.Flags().Int64Var(&q.ChatID, "chat", 0, "`id` of the chat")
	cmd.Flags().Int64Var(&q.SenderID, "sender", 0, "`id` of the sender")
	cmd.Flags().StringVar(&q.ClientMessageID, "client-id", "", "the client_message_id")
	cmd.Flags().IntVar(&q.Limit, "limit", 20, "the most messages to list")
	o.flags(cmd)
	return cmd
}

func newMessagesShow(load settings) *cobra.Command {
	var o lookupOptions
	var around int
	cmd := &cobra.Command{
		Use:     "show <id>",
		Short:   "Follow one message, by its id: the chat's, a dash, its position",
		Example: `  chat-messaging messages show 9010921026965111442-4 --around 10`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			chat, seq, ok := parseMessageID(args[0])
			if !ok {
				return usagef("%q is not the id of a message: <chat>-<position>", args[0])
			}
			if around < 0 || around > 1000 {
				return usagef("--around must be from 0 to 1000")
			}
			return withLookup(cmd.Context(), load, func(ctx context.Context, l *http.Lookup) error {
				path, err := l.Path(ctx, chat, seq, around, o.reader())
				if errors.Is(err, queries.ErrNotFound) {
					return errNothingFound
				}
				if err != nil {
					return err
				}
				if o.form != formTable {
					return writeDocument(cmd.OutOrStdout(), o.form, path)
				}
				return printPath(cmd.OutOrStdout(), path)
			})
		},
	}
	cmd.Flags().IntVar(&around, "around", 6, "how many neighbours to show")
	o.flags(cmd)
	return cmd
}

func parseMessageID(text string) (chat, seq int64, ok bool) {
	left, right, dash := strings.Cut(text, "-")
	chat, errChat := strconv.ParseInt(left, 10, 64)
	seq, errSeq := strconv.ParseInt(right, 10, 64)
	return chat, seq, dash && errChat == nil && errSeq == nil && chat > 0 && seq > 0
}

// lookupTimeout bounds a look-up: the longest is everything of one sender.
const lookupTimeout = 10 * time.Second

func withLookup(ctx context.Context, load settings, do func(context.Context, *http.Lookup) error) error {
	cfg, err := load("DATABASE_URL", "POLICY_FILE")
	if err != nil {
		return err
	}
	policy, err := loadPolicy(cfg.PolicyFile)
	if err != nil {
		return err
	}
	db, err := queries.Open(queries.Config{URL: string(cfg.DatabaseURL), MaxConns: 2})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	reader := queries.NewReader(db)
	defer reader.Close()
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	return do(ctx, &http.Lookup{DB: db, Reader: reader, Policy: policy, EventID: eventID})
}

// eventID is the id of a stored message's event, and its key in the outbox.
func eventID(m *queries.Message) (id string, key uuid.UUID, err error) {
	event := handlers.NewDelivered(m)
	id = event.EventID()
	key, err = handlers.EventKey(id)
	return id, key, err
}

func printFound(w io.Writer, found *http.Found) error {
	if len(found.Messages) > 0 {
		if err := printMessages(w, found.Messages); err != nil {
			return err
		}
	}
	for _, p := range found.Poisoned {
		if _, err := fmt.Fprintf(w, "poisoned, so not stored: %s at %s, last seen %s, now %s: see %s poison show %d\n",
			oneLine(p.Reason), oneLine(p.Stage), p.LastSeen.Format(time.DateTime+" UTC"), p.State, program, p.ID); err != nil {
			return err
		}
	}
	return nil
}

func printMessages(w io.Writer, messages []http.FoundMessage) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	header := "ID\tFROM\tTO\tSTORED\tCLIENT ID\tBODY"
	_, _ = fmt.Fprintln(table, header)
	for _, m := range messages {
		_, _ = fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%s\t%s\n", m.ID, m.SenderID, m.RecipientID,
			m.DeliveredAt.Format(time.DateTime), oneLine(m.ClientMessageID), toldBody(m))
	}
	return table.Flush()
}

func toldBody(m http.FoundMessage) string {
	told := counted(m.BodyBytes, "byte")
	if m.Body != nil {
		told = oneLine(*m.Body)
	}
	if m.IsEdited {
		told += " (edited)"
	}
	if m.IsDeleted {
		told += " (deleted)"
	}
	return told
}

func printPath(w io.Writer, p *http.MessagePath) error {
	m := p.Message
	decision := "denies"
	if p.Decision.Permit {
		decision = "permits"
	}
	lines := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"message", m.ID},
		{"client id", oneLine(m.ClientMessageID)},
		{"sent at", oneLine(m.SentAt) + " (what the sender said)"},
		{"from, to", fmt.Sprintf("%d, %d", m.SenderID, m.RecipientID)},
		{"chat", fmt.Sprintf("%s of %s, position %d of %d", m.ChatID, strings.Trim(strings.ReplaceAll(fmt.Sprint(p.Members), " ", ", "), "[]"), m.Seq, p.LastSeq)},
		{"stored at", m.DeliveredAt.Format("2006-01-02 15:04:05.000000 UTC") + " (received and decided just before)"},
		{"policy", fmt.Sprintf("%s %s it today", oneLine(p.Decision.Policy), decision)},
		{"event", p.Event.ID + " " + toldEvent(p.Event)},
		{"body", toldBody(m)},
	} {
		_, _ = fmt.Fprintf(lines, "%s\t%s\n", line[0], line[1])
	}
	if err := lines.Flush(); err != nil {
		return err
	}
	for _, side := range []struct {
		title    string
		messages []http.FoundMessage
	}{{"before it", p.Before}, {"after it", p.After}} {
		if len(side.messages) == 0 {
			continue
		}
		_, _ = fmt.Fprintf(w, "\n%s\n", side.title)
		if err := printMessages(w, side.messages); err != nil {
			return err
		}
	}
	return nil
}

func toldEvent(e http.Event) string {
	switch e.State {
	case http.EventDispatched:
		return "is dispatched: the broker has confirmed it"
	case http.EventWaiting:
		return "waits in the outbox since " + e.WaitingSince.Format(time.DateTime+" UTC")
	}
	return "may wait in the outbox, which is too long to be searched"
}
