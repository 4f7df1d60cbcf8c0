package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/queries/queriestest"
)

// watching is a watch command that runs.
type watching struct {
	t     testing.TB
	stop  context.CancelFunc
	ended chan result
}

// watch starts the command and returns once it can miss nothing: somebody takes
// what is published with these routing keys.
func (c *corner) watch(keys []string, args ...string) *watching {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &watching{t: c.t, stop: cancel, ended: make(chan result, 1)}
	go func() {
		defer close(w.ended)
		w.ended <- c.execute(ctx, "", append([]string{"watch"}, args...)...)
	}()
	c.t.Cleanup(func() {
		cancel()
		<-w.ended
	})
	for _, key := range keys {
		c.awaitBound(key)
	}
	return w
}

// awaitBound returns once an event with this routing key finds a queue. It tries
// with one that no dispatcher knows.
func (c *corner) awaitBound(key string) {
	c.t.Helper()
	exchange := c.config().DeliveryExchangeName
	c.onChannel(func(ch *amqp.Channel) {
		require.NoError(c.t, ch.ExchangeDeclare(exchange, "direct", true, false, false, false, nil))
		require.NoError(c.t, ch.Confirm(false))
		returns := ch.NotifyReturn(make(chan amqp.Return, 1))
		eventually(c.t, "nobody listens for events", func() bool {
			confirm, err := ch.PublishWithDeferredConfirm(exchange, key, true, false, amqp.Publishing{Type: "probe", MessageId: "probe"})
			require.NoError(c.t, err)
			require.True(c.t, confirm.Wait())
			select {
			case <-returns:
				return false
			default:
				return true
			}
		})
	})
}

// result waits for the end of the command.
func (w *watching) result() result {
	w.t.Helper()
	select {
	case r := <-w.ended:
		return r
	case <-time.After(5 * patience):
		require.FailNow(w.t, "watch does not end")
		return result{}
	}
}

func TestWatchPrintsEachEventOnce(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			c := newCorner(t)
			chat := fmt.Sprint(queriestest.Chat(t, c.db, 1, 2))
			c.run()
			w := c.watch([]string{""}, "--count", "3", "--output", format)
			c.send(
				say(t, chat, "a", 1, 2, "Hello, \"Bob\""),
				say(t, chat, "a", 1, 2, "Hello, \"Bob\""), // a repeat
				say(t, chat, "b", 3, 2, "Let me in"),
				say(t, chat, "c", 2, 1, "Hi"),
				say(t, chat, "d", 2, 1, "not printed any more"),
			)
			got := w.result()
			require.Equal(t, exitOK, got.code, got.stderr)
			require.Contains(t, got.stderr, "3 events, 1 repeated dispatches dropped")
			lines := strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
			if format == "text" {
				require.Equal(t, []string{
					`delivered  chat ` + chat + `  #1     1 → 2  a  "Hello, \"Bob\""`,
					`rejected   chat ` + chat + `  not_related  3 → 2  b  "The sender and/or the recipient are not related to the specified chat."`,
					`delivered  chat ` + chat + `  #2     2 → 1  c  "Hi"`,
				}, lines)
				return
			}
			for i, want := range []dispatched{
				{ClientMessageID: "a", SenderID: 1, RecipientID: 2, Body: "Hello, \"Bob\"", Status: "delivered", Seq: 1},
				{ClientMessageID: "b", SenderID: 3, RecipientID: 2, Body: "Let me in", Status: "rejected", RejectCode: "not_related"},
				{ClientMessageID: "c", SenderID: 2, RecipientID: 1, Body: "Hi", Status: "delivered", Seq: 2},
			} {
				want.ChatID = chat
				if want.Seq > 0 {
					want.ID = fmt.Sprintf("%s-%d", chat, want.Seq)
				}
				var got dispatched
				require.NoError(t, json.Unmarshal([]byte(lines[i]), &got))
				require.Equal(t, want, got)
			}
		})
	}
}

func TestWatchListensForTheUsersItIsGiven(t *testing.T) {
	t.Parallel()
	c := newCorner(t, "DELIVERY_ROUTING=user")
	one, two := queriestest.Chat(t, c.db, 1, 2), queriestest.Chat(t, c.db, 1, 3)
	c.run()
	w := c.watch([]string{"2", "3"}, "--user", "2,3", "--count", "3")
	c.send(
		say(t, fmt.Sprint(one), "a", 1, 2, "for 2"),
		say(t, fmt.Sprint(one), "b", 2, 1, "for 1"),
		say(t, fmt.Sprint(two), "c", 2, 1, "rejected, for 2"),
		say(t, fmt.Sprint(two), "d", 1, 2, "rejected, for 1"),
		say(t, fmt.Sprint(two), "e", 1, 3, "for 3"),
	)
	got := w.result()
	require.Equal(t, exitOK, got.code, got.stderr)
	for i, want := range []string{`a  "for 2"`, "not_related  2 → 1  c", `e  "for 3"`} {
		require.Contains(t, strings.Split(got.stdout, "\n")[i], want)
	}
	eventually(t, "events for users who are offline wait", func() bool { return c.count("outbox") == 0 })
}

func TestWatchEnds(t *testing.T) {
	t.Parallel()
	t.Run("when nothing comes", func(t *testing.T) {
		t.Parallel()
		c := newCorner(t)
		got := c.execute(t.Context(), "", "watch", "--idle", "200ms")
		require.Equal(t, exitOK, got.code, got.stderr)
		require.Empty(t, got.stdout)
		require.Contains(t, got.stderr, "0 events")
	})
	t.Run("when nothing comes any more", func(t *testing.T) {
		t.Parallel()
		c := newCorner(t)
		chat := fmt.Sprint(queriestest.Chat(t, c.db, 1, 2))
		c.run()
		w := c.watch([]string{""}, "--idle", "3s")
		c.send(say(t, chat, "a", 1, 2, "Hello"))
		got := w.result()
		require.Equal(t, exitOK, got.code, got.stderr)
		require.Contains(t, got.stdout, "Hello")
	})
	t.Run("at Ctrl-C", func(t *testing.T) {
		t.Parallel()
		c := newCorner(t)
		ctx, cancel := context.WithCancel(t.Context())
		var stdout, stderr output
		code := make(chan int, 1)
		go func() { code <- run(ctx, []string{"watch"}, strings.NewReader(""), &stdout, &stderr, c.environ) }()
		c.awaitBound("")
		cancel()
		require.Equal(t, exitOK, receive(t, code, "it does not end"), stderr.String())
		require.Contains(t, stderr.String(), "0 events")
	})
	t.Run("when nobody reads it", func(t *testing.T) {
		t.Parallel()
		c := newCorner(t)
		chat := fmt.Sprint(queriestest.Chat(t, c.db, 1, 2))
		c.run()
		var stderr output
		code := make(chan int, 1)
		go func() {
			code <- run(t.Context(), []string{"watch"}, strings.NewReader(""), closedPipe{}, &stderr, c.environ)
		}()
		c.awaitBound("")
		c.send(say(t, chat, "a", 1, 2, "Hello"))
		require.Equal(t, exitOK, receive(t, code, "it does not end"), stderr.String())
	})
}

// closedPipe is an output whose reader has gone, as with | head.
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestWatchIsCalledInAWrongWay(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		routing string
		args    []string
		want    string
	}{
		"an unknown output":      {"fanin", []string{"--output", "xml"}, "--output"},
		"users without need":     {"fanin", []string{"--user", "1"}, "DELIVERY_ROUTING=user"},
		"no users":               {"user", nil, "--user"},
		"a user that is no id":   {"user", []string{"--user", "me"}, "--user"},
		"a time that is no time": {"fanin", []string{"--idle", "soon"}, "--idle"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := execute(t, []string{"DELIVERY_ROUTING=" + test.routing}, append([]string{"watch"}, test.args...)...)
			require.Equal(t, exitUsage, got.code, got.stderr)
			require.Contains(t, got.stderr, test.want)
		})
	}
}

func TestWatchSaysThatItCannotListen(t *testing.T) {
	t.Parallel()
	t.Run("the broker is away", func(t *testing.T) {
		t.Parallel()
		got := execute(t, []string{"RABBITMQ_URL=amqp://u:hunter2@127.0.0.1:1/"}, "watch")
		require.Equal(t, exitFailed, got.code)
		require.Contains(t, got.stderr, "listening for events")
		require.NotContains(t, got.stderr, "hunter2")
	})
	t.Run("the exchange is missing", func(t *testing.T) {
		t.Parallel()
		c := newCorner(t, "AMQP_DECLARE=false")
		got := c.execute(t.Context(), "", "watch")
		require.Equal(t, exitFailed, got.code)
		require.Contains(t, got.stderr, c.config().DeliveryExchangeName)
	})
}
