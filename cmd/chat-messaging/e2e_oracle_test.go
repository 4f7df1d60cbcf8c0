package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/queries/queriestest"
)

// oracle is a producer that knows what must come of its messages: the n-th
// message of a chat, from either member, becomes its position n.
type oracle struct {
	c      *corner
	chats  []int64
	bodies []string
	sent   map[int64]int // messages by chat
	done   atomic.Int64  // messages that the broker has confirmed
}

// scale is a number from the environment for a longer run.
func scale(t testing.TB, name string, usual int) int {
	t.Helper()
	given := os.Getenv(name)
	if given == "" {
		return usual
	}
	n, err := strconv.Atoi(given)
	require.NoError(t, err, "%s must be a number", name)
	return n
}

// newRandom returns a source that a failed run can be repeated with.
func newRandom(t testing.TB) *rand.Rand {
	t.Helper()
	seed := scale(t, "E2E_SEED", int(time.Now().UnixNano()%1_000_000))
	t.Logf("E2E_SEED=%d", seed)
	return rand.New(rand.NewPCG(uint64(seed), 0))
}

// newOracle makes n messages over chats of two users each, a hundredth as many.
func newOracle(c *corner, random *rand.Rand, n int) *oracle {
	c.t.Helper()
	o := &oracle{c: c, sent: map[int64]int{}}
	for i := range int64(max(1, n/100)) {
		o.chats = append(o.chats, queriestest.Chat(c.t, c.db, 2*i+1, 2*i+2))
	}
	for range n {
		i := random.IntN(len(o.chats))
		from, to := int64(2*i+1), int64(2*i+2)
		if random.IntN(2) == 1 {
			from, to = to, from
		}
		o.sent[o.chats[i]]++
		id := messageID(o.chats[i], o.sent[o.chats[i]])
		o.bodies = append(o.bodies, say(c.t, fmt.Sprint(o.chats[i]), id, from, to, fmt.Sprintf("%0*d", 1+random.IntN(400), i)))
	}
	return o
}

// messageID is what the oracle calls the n-th message of a chat.
func messageID(chat int64, n int) string { return fmt.Sprintf("%d/%d", chat, n) }

// send publishes messages up to the given one, persistent, in order, whatever
// becomes of the broker: what is not confirmed is sent again. It stays at most
// ahead messages before what the recorder has seen, so that it sends all along
// the run.
func (o *oracle) send(ctx context.Context, until int, ahead func() int) error {
	for int(o.done.Load()) < until {
		err := o.sendWhileConnected(ctx, until, ahead)
		if ctx.Err() != nil {
			return fmt.Errorf("sending: %w", errors.Join(context.Cause(ctx), err))
		}
		if err != nil && !wait(ctx, 100*time.Millisecond) {
			return fmt.Errorf("sending: %w", err)
		}
	}
	return nil
}

func (o *oracle) sendWhileConnected(ctx context.Context, until int, ahead func() int) error {
	conn, err := amqp.DialConfig(o.c.broker, amqp.Config{Dial: amqp.DefaultDial(5 * time.Second), Heartbeat: 5 * time.Second})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	for int(o.done.Load()) < until {
		from := int(o.done.Load())
		window := min(100, until-from, ahead()-from)
		if window <= 0 {
			if !wait(ctx, 2*time.Millisecond) {
				return nil
			}
			continue
		}
		if err := o.sendWindow(ctx, ch, o.bodies[from:from+window]); err != nil {
			return err
		}
	}
	return nil
}

func (o *oracle) sendWindow(ctx context.Context, ch *amqp.Channel, bodies []string) error {
	exchange := o.c.config().DatabaseExchangeName
	confirms := make([]*amqp.DeferredConfirmation, len(bodies))
	for i, body := range bodies {
		var err error
		confirms[i], err = ch.PublishWithDeferredConfirmWithContext(ctx, exchange, "", true, false,
			amqp.Publishing{ContentType: "application/json", DeliveryMode: amqp.Persistent, Body: []byte(body)})
		if err != nil {
			return err
		}
	}
	for _, confirm := range confirms {
		if ok, err := confirm.WaitContext(ctx); err != nil || !ok {
			return errors.Join(err, errors.New("not confirmed"))
		}
		o.done.Add(1)
	}
	return nil
}

// awaitSent waits for the end of a send, for as long as it gets on.
func (o *oracle) awaitSent(sent <-chan error) {
	o.c.t.Helper()
	for ended := false; !ended; {
		before := o.done.Load()
		eventually(o.c.t, "the producer does not get on", func() bool {
			select {
			case err := <-sent:
				require.NoError(o.c.t, err)
				ended = true
			default:
			}
			return ended || o.done.Load() > before
		})
	}
}

// wait returns false if the context ended before d was over. It paces tries and
// chooses moments; no test relies on what has happened meanwhile.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// awaitSettled waits until a service consumes the queue, has taken all that
// waits in it, and the outbox is empty. What is in the service's hands then is
// settled by its draining.
func (o *oracle) awaitSettled() {
	o.c.t.Helper()
	eventually(o.c.t, "messages or events are left over", func() bool {
		waiting, consumers := o.c.inspect(o.c.config().DatabaseQueueName)
		return consumers == 1 && waiting == 0 && o.c.count("outbox") == 0
	})
}

// requireStored holds the tables against what was sent.
func (o *oracle) requireStored(t testing.TB) {
	t.Helper()
	var rows []struct {
		ChatID int64  `db:"chat_id"`
		Seq    int    `db:"seq"`
		ID     string `db:"client_message_id"`
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, o.c.db.SelectContext(ctx, &rows, "SELECT chat_id, seq, client_message_id FROM messages ORDER BY chat_id, seq"))
	require.Len(t, rows, len(o.bodies), "stored, of those sent")
	next := map[int64]int{}
	for _, row := range rows {
		next[row.ChatID]++
		require.Equal(t, next[row.ChatID], row.Seq, "positions have no gaps")
		require.Equal(t, messageID(row.ChatID, row.Seq), row.ID, "the order of the rows is that of the messages")
	}
	require.Equal(t, o.sent, next)
	require.Zero(t, o.c.count("outbox"), "events that were not dispatched")
	require.Zero(t, o.c.count("chats WHERE last_seq <> (SELECT count(*) FROM messages WHERE chat_id = chats.id)"))
}

// requireDispatched holds what a dispatcher got against what was sent, and
// returns how many events were published more than once.
func (o *oracle) requireDispatched(t testing.TB, got []dispatched) (repeats int) {
	t.Helper()
	first := map[string]dispatched{} // by event id
	event := map[string]string{}     // event id by message
	next := map[int64]int{}
	for _, e := range got {
		require.Equal(t, "delivered", e.Status, "%+v", e)
		if before, again := first[e.EventID]; again {
			require.Equal(t, before.Raw, e.Raw, "one id, two events")
			if !e.Redelivered { // by the recorder's own doing otherwise
				repeats++
			}
			continue
		}
		first[e.EventID] = e
		other, again := event[e.ClientMessageID]
		require.False(t, again, "message %s was dispatched as %s and as %s", e.ClientMessageID, other, e.EventID)
		event[e.ClientMessageID] = e.EventID

		chat, err := strconv.ParseInt(e.ChatID, 10, 64)
		require.NoError(t, err)
		next[chat]++
		require.Equal(t, next[chat], e.Seq, "the first occurrences of a chat's events come in order")
		require.Equal(t, messageID(chat, e.Seq), e.ClientMessageID, "the order of the events is that of the messages")
	}
	require.Equal(t, o.sent, next, "events, of those sent")
	return repeats
}

// requireNothingLeft makes sure that neither queue holds anything, also not
// unacknowledged, and that nothing was poisoned; no service may run any more.
func (o *oracle) requireNothingLeft(t testing.TB) {
	t.Helper()
	cfg := o.c.config()
	for _, queue := range []string{cfg.DatabaseQueueName, cfg.PoisonQueueName} {
		require.Zero(t, o.c.left(queue), queue)
	}
	require.Zero(t, o.c.count("poisoned"))
}
