package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"chat-messaging/pipeline"
)

// sendOptions are the flags of send.
type sendOptions struct {
	chat     string
	from, to int64
	id       string
	sentAt   string
	body     string
	count    int
}

func newSend(load settings) *cobra.Command {
	var o sendOptions
	cmd := &cobra.Command{
		Use:   "send",
		Short: "Publish messages as the gateway does",
		Long: `Publish messages to DATABASE_EXCHANGE_NAME and return once the broker has
confirmed every one: one from flags, or, without --chat, one for each line of
standard input. A line is the body of a delivery as it is, so it may also be what
the service should refuse.`,
		Example: `  chat-messaging send --chat "$(chat-messaging chat --users 1,2)" --from 1 --to 2 --body "Hello"
  chat-messaging send --chat 123 --from 1 --to 2 --body "message %d" --count 1000
  chat-messaging send < messages.ndjson`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load("RABBITMQ_URL", "DATABASE_EXCHANGE_NAME", "DATABASE_QUEUE_NAME", "POISON_QUEUE_NAME",
				"QUEUE_TYPE", "AMQP_DECLARE")
			if err != nil {
				return err
			}
			lines, err := o.lines(cmd)
			if err != nil {
				return err
			}
			started := time.Now()
			n, err := sendAll(cmd.Context(), cfg, newLogger(cmd.ErrOrStderr(), "warn", "text"), lines)
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s confirmed in %s\n", counted(n, "message"), time.Since(started).Round(time.Millisecond))
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.chat, "chat", "", "the chat's `id`")
	f.Int64Var(&o.from, "from", 0, "the sender's `id`")
	f.Int64Var(&o.to, "to", 0, "the recipient's `id`")
	f.StringVar(&o.id, "id", "", "the client message `id`; with --count its beginning (default: a random one)")
	f.StringVar(&o.sentAt, "sent-at", "", "the sender's `time` (default: now)")
	f.StringVar(&o.body, "body", "", "the `text`; with --count, %d is the message's number")
	f.IntVar(&o.count, "count", 1, "how many messages")
	return cmd
}

// lineSource returns the next body, and io.EOF after the last.
type lineSource func() ([]byte, error)

// lines are the bodies to send.
func (o *sendOptions) lines(cmd *cobra.Command) (lineSource, error) {
	if cmd.Flags().NFlag() == 0 || o.chat == "" && o.from == 0 && o.to == 0 && o.body == "" {
		return readLines(cmd.InOrStdin()), nil
	}
	switch {
	case o.chat == "" || o.from == 0 || o.to == 0 || o.body == "":
		return nil, usagef("--chat, --from, --to and --body belong together")
	case o.count < 1:
		return nil, usagef("--count must be at least 1")
	}
	prefix := o.id
	if prefix == "" {
		prefix = uuid.NewString()
	}
	n := 0
	return func() ([]byte, error) {
		if n == o.count {
			return nil, io.EOF
		}
		n++
		return o.message(prefix, n)
	}, nil
}

// outgoing is a message as the gateway writes it.
type outgoing struct {
	ID              *string `json:"id"`
	ClientMessageID string  `json:"client_message_id"`
	ChatID          string  `json:"chat_id"`
	SenderID        int64   `json:"sender_id"`
	RecipientID     int64   `json:"recipient_id"`
	SentAt          string  `json:"sent_at"`
	DeliveredAt     *string `json:"delivered_at"`
	Body            string  `json:"body"`
	Status          string  `json:"status"`
	IsEdited        bool    `json:"is_edited"`
	IsDeleted       bool    `json:"is_deleted"`
}

const gatewayTime = "2006-01-02T15:04:05.000000Z"

func (o *sendOptions) message(prefix string, n int) ([]byte, error) {
	m := outgoing{
		ClientMessageID: prefix, ChatID: o.chat, SenderID: o.from, RecipientID: o.to,
		SentAt: o.sentAt, Body: o.body, Status: "sent",
	}
	if o.count > 1 {
		m.ClientMessageID = fmt.Sprintf("%s-%d", prefix, n)
		m.Body = numbered(o.body, n)
	}
	if m.SentAt == "" {
		m.SentAt = time.Now().UTC().Format(gatewayTime)
	}
	return json.Marshal(m)
}

// readLines reads lines of up to 4 MiB; empty ones are skipped.
func readLines(r io.Reader) lineSource {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 64<<10), 4<<20)
	n := 0
	return func() ([]byte, error) {
		for scanner.Scan() {
			n++
			if len(scanner.Bytes()) > 0 {
				return append([]byte(nil), scanner.Bytes()...), nil
			}
		}
		if err := scanner.Err(); err != nil {
			return nil, fmt.Errorf("reading line %d: %w", n+1, err)
		}
		return nil, io.EOF
	}
}

// sendWindow is how many messages are published in one call.
const sendWindow = 1000

// sendAll publishes until the source ends, and returns how many messages are
// confirmed. It makes the queue if it may and there is none, as the service
// would: what is sent before the service first runs is not lost.
func sendAll(ctx context.Context, cfg Config, logger *slog.Logger, next lineSource) (int, error) {
	conn, err := pipeline.NewConnection(string(cfg.RabbitMQURL), program+" send", logger)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	publisher, err := pipeline.NewPublisher(pipeline.PublisherConfig{
		Connection: conn,
		Exchange:   cfg.DatabaseExchangeName,
		RoutingKey: func(string, *message.Message) string { return "" },
		Prepare:    func(ctx context.Context) error { return cfg.topology().EnsureInput(ctx, conn) },
		Logger:     logger,
	})
	if err != nil {
		return 0, err
	}
	confirmed := 0
	for {
		msgs, readErr := readWindow(next)
		for _, err := range publisher.PublishEach(ctx, "", msgs) {
			if err != nil {
				return confirmed, fmt.Errorf("sending message %d: %w", confirmed+1, err)
			}
			confirmed++
		}
		if errors.Is(readErr, io.EOF) {
			return confirmed, nil
		}
		if readErr != nil {
			return confirmed, readErr
		}
	}
}

func readWindow(next lineSource) ([]*message.Message, error) {
	var msgs []*message.Message
	for len(msgs) < sendWindow {
		line, err := next()
		if err != nil {
			return msgs, err
		}
		// No message id, as from the gateway: the body has the key.
		msgs = append(msgs, message.NewMessage("", line))
	}
	return msgs, nil
}

// numbered puts n in the place of %d; the text is not a format otherwise.
func numbered(text string, n int) string {
	return strings.ReplaceAll(text, "%d", strconv.Itoa(n))
}

// counted is the number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
