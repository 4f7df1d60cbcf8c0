package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"chat-messaging/handlers"
	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// table is the whole chain over a schema of the test's own.
type table struct {
	t      *testing.T
	db     *queries.DB
	writer *queries.Writer
	chain  handlers.Handler
	chat   int64 // of users 1 and 2
}

func newTable(t *testing.T) *table {
	t.Helper()
	db := queriestest.New(t)
	policy, err := handlers.DefaultPolicy()
	require.NoError(t, err)
	w := queries.NewWriter(db)
	t.Cleanup(w.Close)
	return &table{
		t: t, db: db, writer: w, chat: queriestest.Chat(t, db, 1, 2),
		chain: handlers.Chain(
			handlers.Validate(handlers.Limits{}),
			handlers.Authorize(handlers.ChatMembers, policy),
			handlers.Persist,
			handlers.Republish(handlers.EventMarshaler{}),
		),
	}
}

// run commits one batch, doing it again for as long as the database asks to.
func (tb *table) run(items ...*handlers.Item) []*message.Message {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		tx, err := tb.writer.Begin(ctx)
		require.NoError(tb.t, err)
		b := &handlers.Batch{Items: items, Tx: tx}
		if err = tb.chain(ctx, b); err == nil {
			err = tx.Commit() // which stores what was kept
		}
		if err != nil {
			tx.Rollback()
			require.Equal(tb.t, queries.FaultConflict, queries.Classify(err), "%v", err)
			continue
		}
		return b.Events
	}
}

func (tb *table) item(from, to int64, id, body string) *handlers.Item {
	return &handlers.Item{Payload: fmt.Appendf(nil,
		`{"client_message_id":%q,"chat_id":"%d","sender_id":%d,"recipient_id":%d,"sent_at":"2025-12-16T20:19:31Z","body":%q}`,
		id, tb.chat, from, to, body)}
}

func redelivered(item *handlers.Item) *handlers.Item {
	item.Redelivered = true
	return item
}

func verdicts(items ...*handlers.Item) []string {
	var out []string
	for _, item := range items {
		text := item.Verdict.String()
		if item.Rejection.Code != "" {
			text += " " + item.Rejection.Code
		}
		out = append(out, text)
	}
	return out
}

func TestMessagesGetThePositionsOfTheirArrival(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	first := []*handlers.Item{tb.item(1, 2, "a", "1"), tb.item(2, 1, "a", "2"), tb.item(1, 2, "b", "3")}
	second := []*handlers.Item{tb.item(2, 1, "b", "4")}
	events := append(tb.run(first...), tb.run(second...)...)
	require.Len(t, events, 4)
	for i, item := range append(first, second...) {
		require.Equal(t, handlers.Accepted, item.Verdict)
		require.EqualValues(t, i+1, item.Stored.Seq)
		var e handlers.MessageDelivered
		require.NoError(t, handlers.EventMarshaler{}.Unmarshal(events[i], &e))
		require.EqualValues(t, i+1, e.Seq)
		require.Equal(t, strconv.Itoa(i+1), e.Body)
	}
	var last int64
	require.NoError(t, tb.db.Get(&last, "SELECT last_seq FROM chats"))
	require.EqualValues(t, 4, last)
}

func TestOneKeyIsStoredOnce(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		stored bool // in an earlier batch, or else in this one
		again  func(tb *table) *handlers.Item
		want   string
		events int
	}{
		"the same content again is answered with the stored event": {
			true, func(tb *table) *handlers.Item { return tb.item(1, 2, "a", "x") }, "repeated", 1,
		},
		"the same content redelivered is only acknowledged": {
			true, func(tb *table) *handlers.Item { return redelivered(tb.item(1, 2, "a", "x")) }, "replayed", 0,
		},
		"other content is rejected": {
			true, func(tb *table) *handlers.Item { return tb.item(1, 2, "a", "y") }, "rejected duplicated", 1,
		},
		"other content is rejected even when redelivered": {
			true, func(tb *table) *handlers.Item { return redelivered(tb.item(1, 2, "a", "y")) }, "rejected duplicated", 1,
		},
		"the same key of another sender is another key": {
			true, func(tb *table) *handlers.Item { return tb.item(2, 1, "a", "x") }, "accepted", 1,
		},
		"twice in one batch counts once": {
			false, func(tb *table) *handlers.Item { return tb.item(1, 2, "a", "x") }, "repeated", 2,
		},
		"twice in one batch with other content counts once": {
			false, func(tb *table) *handlers.Item { return tb.item(1, 2, "a", "y") }, "rejected duplicated", 2,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tb := newTable(t)
			original := tb.item(1, 2, "a", "x")
			again := c.again(tb)
			var events []*message.Message
			if c.stored {
				first := tb.run(original)
				events = tb.run(again)
				if again.Verdict == handlers.Repeated {
					require.Equal(t, first[0].UUID, events[0].UUID)
					require.JSONEq(t, string(first[0].Payload), string(events[0].Payload))
				}
			} else {
				events = tb.run(original, again)
			}
			require.Equal(t, []string{c.want}, verdicts(again))
			require.Len(t, events, c.events)
			var rows int
			require.NoError(t, tb.db.Get(&rows, "SELECT count(*) FROM messages WHERE sender_id = 1"))
			require.Equal(t, 1, rows)
			var gapless bool
			require.NoError(t, tb.db.Get(&gapless, "SELECT last_seq = (SELECT count(*) FROM messages) FROM chats"))
			require.True(t, gapless)
		})
	}
}

func TestAMixedBatchSettlesEveryItemOnItsOwn(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	stranger := tb.item(3, 2, "a", "x")
	wrongRecipient := tb.item(1, 3, "b", "x")
	unknown := tb.item(1, 2, "c", "x")
	unknown.Payload = []byte(`{"client_message_id":"c","chat_id":"42","sender_id":1,"recipient_id":2,"sent_at":"2025-12-16T20:19:31Z","body":"x"}`)
	nul := tb.item(1, 2, "d", "x")
	nul.Payload = []byte(`{"client_message_id":"d","chat_id":"` + strconv.FormatInt(tb.chat, 10) +
		`","sender_id":1,"recipient_id":2,"sent_at":"2025-12-16T20:19:31Z","body":"\u0000"}`)
	garbage := &handlers.Item{Payload: []byte("garbage")}
	good := tb.item(1, 2, "e", "x")
	items := []*handlers.Item{stranger, wrongRecipient, unknown, nul, garbage, good}
	events := tb.run(items...)
	require.Equal(t, []string{
		"rejected not_related", "rejected not_related", "rejected unknown_chat", "rejected invalid_body", "poisoned", "accepted",
	}, verdicts(items...))
	require.Len(t, events, 5, "all but the poisoned one are answered")
	require.Equal(t, handlers.FailMalformedJSON, garbage.Failure.Code)
}

// Events leave in the order of their rows, so whoever has one for a chat keeps
// others from writing theirs in between, also if it takes no position there.
func TestChatsWithEventsAreLockedUntilTheCommit(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	stored := tb.item(1, 2, "stored", "x")
	tb.run(stored)
	for name, item := range map[string]*handlers.Item{
		"accepted": tb.item(1, 2, "a", "x"), "repeated": tb.item(1, 2, "stored", "x"),
		"duplicated": tb.item(1, 2, "stored", "y"), "not related": tb.item(3, 2, "a", "x"),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			for {
				tx, err := tb.writer.Begin(ctx)
				require.NoError(t, err)
				err = tb.chain(ctx, &handlers.Batch{Items: []*handlers.Item{item}, Tx: tx})
				if err == nil {
					var free []int64
					require.NoError(t, tb.db.SelectContext(ctx, &free, `SELECT id FROM chats FOR UPDATE SKIP LOCKED`))
					require.Empty(t, free)
				}
				tx.Rollback()
				if err == nil {
					return
				}
				require.Equal(t, queries.FaultConflict, queries.Classify(err), "%v", err)
			}
		})
	}
}

// A chat that was deleted by hand is one that does not exist, though it has been
// met before.
func TestAChatThatIsGoneIsUnknown(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	before, after := tb.item(1, 2, "a", "x"), tb.item(1, 2, "b", "x")
	tb.run(before)
	_, err := tb.db.Exec(`DELETE FROM chats`)
	require.NoError(t, err)
	require.Len(t, tb.run(after), 1)
	require.Equal(t, []string{"accepted", "rejected unknown_chat"}, verdicts(before, after))
}

func TestMissingAttributesPermitNothing(t *testing.T) {
	t.Parallel()
	policy, err := handlers.DefaultPolicy()
	require.NoError(t, err)
	away := errors.New("the database is away")
	chain := handlers.Chain(
		handlers.Validate(handlers.Limits{}),
		handlers.Authorize(func(context.Context, *queries.Tx, []int64) (map[int64]*queries.Chat, error) {
			return nil, away
		}, policy),
	)
	item := (&table{chat: 7}).item(1, 2, "a", "x")
	require.ErrorIs(t, chain(context.Background(), &handlers.Batch{Items: []*handlers.Item{item}}), away)
	require.Equal(t, handlers.Open, item.Verdict)
}
