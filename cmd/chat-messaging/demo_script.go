package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/handlers"
	"chat-messaging/pipeline"
)

// line is one message of the demo and what must become of it.
type line struct {
	about string // what a person should know of it
	body  func(s *stage) []byte
	want  string // verdict and code
}

// stage is what the lines of a script talk about.
type stage struct {
	chat string
	run  string // makes client message ids of this run
}

func (s *stage) message(id string, from, to int64, text string) []byte {
	return s.messageTo(s.chat, id, from, to, text)
}

func (s *stage) messageTo(chat, id string, from, to int64, text string) []byte {
	o := sendOptions{chat: chat, from: from, to: to, body: text, count: 1}
	body, err := o.message(s.run+"-"+id, 1)
	if err != nil {
		return nil
	}
	return body
}

// The users of the demo: 1 and 2 share a chat, 3 is a stranger to it.
const alice, bob, mallory = 1, 2, 3

var demoSentAt = time.Now().UTC().Format(gatewayTime)

// fullScript has one line for each kind of outcome.
var fullScript = []line{
	{"1 writes to 2", func(s *stage) []byte { return s.fixed("hello", "Hello, Bob!") }, "delivered"},
	{"the same again, as after a lost connection", func(s *stage) []byte { return s.fixed("hello", "Hello, Bob!") }, "repeated"},
	{"the same id with another text", func(s *stage) []byte { return s.fixed("hello", "Something else") }, "rejected duplicated"},
	{"to a chat that does not exist", func(s *stage) []byte {
		return s.messageTo("404", "lost", alice, bob, "Anybody here?")
	}, "rejected unknown_chat"},
	{"3 is not a member", func(s *stage) []byte { return s.message("spy", mallory, bob, "Let me in!") }, "rejected not_related"},
	{"not JSON", func(*stage) []byte { return []byte("Hello? This is not JSON.") }, "poisoned malformed_json"},
}

// shortScript is a conversation that leaves nothing behind but its messages.
var shortScript = []line{
	{"1 writes to 2", func(s *stage) []byte { return s.message("hello", alice, bob, "Hello, Bob!") }, "delivered"},
	{"2 answers", func(s *stage) []byte { return s.message("hi", bob, alice, "Hi Alice, how are you?") }, "delivered"},
	{"1 goes on", func(s *stage) []byte { return s.message("fine", alice, bob, "Fine. Everything passes through!") }, "delivered"},
}

// fixed is a message whose time does not change, so that sending it twice is a
// repeat.
func (s *stage) fixed(id, text string) []byte {
	o := sendOptions{chat: s.chat, from: alice, to: bob, body: text, count: 1, sentAt: demoSentAt}
	body, err := o.message(s.run+"-"+id, 1)
	if err != nil {
		return nil
	}
	return body
}

// play sends the script line by line, waits for each outcome, and prints them.
func (d *demo) play(ctx context.Context, script []line) error {
	chat, err := d.db.EnsureChat(ctx, []int64{alice, bob})
	if err != nil {
		return err
	}
	s := &stage{chat: fmt.Sprint(chat), run: uuid.NewString()[:8]}
	outcomes, closeOutcomes, err := d.listen(ctx)
	if err != nil {
		return err
	}
	defer closeOutcomes()

	d.say("Users 1 and 2 share chat %s. Each line is one message on exchange %q.\n", s.chat, d.cfg.DatabaseExchangeName)
	table := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "  \tMESSAGE\tOUTCOME\tDISPATCHED OR POISONED")
	wrong := 0
	logger := newLogger(d.logs, "error", "text")
	for _, l := range script {
		body := l.body(s)
		sent := false
		_, err := sendAll(ctx, d.cfg, logger, func() ([]byte, error) {
			if sent {
				return nil, io.EOF
			}
			sent = true
			return body, nil
		})
		if err != nil {
			return err
		}
		got, err := await(ctx, outcomes)
		if err != nil {
			_ = table.Flush()
			return fmt.Errorf("waiting for the outcome of %q: %w", l.about, err)
		}
		mark := "ok"
		if got.verdict != l.want {
			mark = "WRONG, expected " + l.want
			wrong++
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", mark, l.about, got.verdict, got.detail)
	}
	_ = table.Flush()
	if wrong > 0 {
		return fmt.Errorf("%d of %d outcomes are wrong", wrong, len(script))
	}
	d.say("\nAll %d outcomes are right.", len(script))
	return nil
}

// outcome is what came of a message.
type outcome struct {
	verdict string
	detail  string
}

func await(ctx context.Context, outcomes <-chan outcome) (outcome, error) {
	timer := time.NewTimer(demoPatience)
	defer timer.Stop()
	select {
	case o := <-outcomes:
		return o, nil
	case <-timer.C:
		return outcome{}, fmt.Errorf("nothing came for %s", demoPatience)
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	}
}

// listen hears events and poisoned messages on a plain AMQP channel, as the
// other services do. The poison queue is only read in the demo's own corner.
func (d *demo) listen(ctx context.Context) (<-chan outcome, func(), error) {
	conn, err := amqp.Dial(string(d.cfg.RabbitMQURL))
	if err != nil {
		return nil, nil, errors.New("connecting to the broker: it does not answer, or refuses the user")
	}
	setup, err := pipeline.NewConnection(string(d.cfg.RabbitMQURL), program+" demo", newLogger(d.logs, "error", "text"))
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	defer func() { _ = setup.Close() }()
	if err := errors.Join(d.cfg.topology().EnsureInput(ctx, setup), d.cfg.topology().EnsureDelivery(ctx, setup)); err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	ch, err := conn.Channel()
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err == nil {
		for _, key := range []string{"", fmt.Sprint(alice), fmt.Sprint(bob), fmt.Sprint(mallory)} {
			err = errors.Join(err, ch.QueueBind(q.Name, key, d.cfg.DeliveryExchangeName, false, nil))
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	events, err := ch.Consume(q.Name, "", true, true, false, false, nil)
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	var poison <-chan amqp.Delivery
	if d.ownNames {
		if poison, err = ch.Consume(d.cfg.PoisonQueueName, "", true, false, false, false, nil); err != nil {
			return nil, nil, errors.Join(err, conn.Close())
		}
	}
	outcomes := make(chan outcome, 16)
	go translate(ctx, events, poison, outcomes)
	return outcomes, func() { _ = conn.Close() }, nil
}

// translate puts what arrives into words.
func translate(ctx context.Context, events, poison <-chan amqp.Delivery, outcomes chan<- outcome) {
	seen := map[string]bool{}
	for {
		var o outcome
		select {
		case <-ctx.Done():
			return
		case e, ok := <-events:
			if !ok {
				return
			}
			o = describe(e, seen)
		case p, ok := <-poison:
			if !ok {
				return
			}
			o = outcome{
				verdict: fmt.Sprintf("poisoned %v", p.Headers[pipeline.HeaderPoisonCode]),
				detail:  fmt.Sprintf("%v: %v", p.Headers[pipeline.HeaderPoisonStage], p.Headers[pipeline.HeaderPoisonReason]),
			}
		}
		select {
		case outcomes <- o:
		case <-ctx.Done():
			return
		}
	}
}

func describe(d amqp.Delivery, seen map[string]bool) outcome {
	msg, _ := pipeline.Marshaler{}.Unmarshal(d)
	marshaler := handlers.EventMarshaler{}
	var delivered handlers.MessageDelivered
	var rejected handlers.MessageRejected
	switch again := seen[d.MessageId]; {
	case marshaler.NameFromMessage(msg) == handlers.NameMessageDelivered && marshaler.Unmarshal(msg, &delivered) == nil:
		seen[d.MessageId] = true
		if again {
			return outcome{"repeated", fmt.Sprintf("#%d again, with the same event id: dispatchers drop it", delivered.Seq)}
		}
		return outcome{"delivered", fmt.Sprintf("#%d %d → %d %q", delivered.Seq, delivered.SenderID, delivered.RecipientID, delivered.Body)}
	case marshaler.Unmarshal(msg, &rejected) == nil:
		return outcome{"rejected " + rejected.Code, fmt.Sprintf("to %d: %s", rejected.SenderID, rejected.Reason)}
	default:
		return outcome{"unreadable", string(d.Body)}
	}
}
