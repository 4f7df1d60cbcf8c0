package queries_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// Pages that are asked for at the same time are read together; each caller gets
// the page that it asked for, and some give up in between.
func TestCallersAtTheSameTimeEachGetTheirOwnPage(t *testing.T) {
	t.Parallel()
	const callers, perCaller, messages = 40, 25, 60
	db := queriestest.New(t)
	reader := queries.NewReader(db)
	t.Cleanup(reader.Close)
	var chats []int64
	for other := int64(2); other < 8; other++ {
		chats = append(chats, queriestest.Chat(t, db, 1, other))
		fill(t, db, chats[len(chats)-1], messages)
	}
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := range perCaller {
				n := caller*perCaller + i
				ctx, cancel := context.WithCancel(t.Context())
				if n%7 == 0 {
					cancel()
				}
				chat, anchor := chats[n%len(chats)], int64(n%messages)
				h, err := reader.History(ctx, chat, queries.Window{Direction: queries.Newer, Anchor: anchor, Limit: 1 + n%5})
				cancel()
				if n%7 == 0 {
					if err != nil { // or the page came first
						continue
					}
				}
				if !expect(t, err == nil, "caller %d: %v", n, err) {
					return
				}
				want := min(1+n%5, messages-int(anchor))
				expect(t, len(h.Messages) == want, "caller %d: %d messages, not %d", n, len(h.Messages), want)
				for j := range h.Messages {
					m := &h.Messages[j]
					expect(t, m.ChatID == chat && m.Seq == anchor+int64(j)+1, "caller %d: message %d of chat %d", n, m.Seq, m.ChatID)
				}
			}
		})
	}
	wg.Wait()

	_, err := reader.History(t.Context(), 5, queries.Window{Limit: 3})
	require.ErrorIs(t, err, queries.ErrNotFound, "a chat that does not exist is nobody else's trouble")
}

// expect may be called by any goroutine of a test.
func expect(t *testing.T, ok bool, format string, args ...any) bool {
	t.Helper()
	if !ok {
		t.Errorf(format, args...)
	}
	return ok
}
