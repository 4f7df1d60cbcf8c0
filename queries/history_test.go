package queries_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// fill stores n messages in a chat, from member to member in turn.
func fill(t testing.TB, db *queries.DB, chatID int64, n int) {
	t.Helper()
	_, err := db.Exec(`
INSERT INTO messages (chat_id, seq, sender_id, recipient_id, delivered_at, fingerprint, client_message_id, sent_at, body)
SELECT c.id, n, c.member_ids[1 + n % 2], c.member_ids[2 - n % 2], '2026-01-02T15:04:05.123456Z'::timestamptz + n * interval '1 second',
       '\x00', c.id || '-' || n, '2026-01-02T15:04:05.000001Z', 'message ' || n
FROM chats AS c, generate_series(1, $2::int) AS n
WHERE c.id = $1`, chatID, n)
	require.NoError(t, err)
	_, err = db.Exec(`UPDATE chats SET last_seq = $2 WHERE id = $1`, chatID, n)
	require.NoError(t, err)
}

func seqs(messages []queries.Message) []int64 {
	list := []int64{}
	for _, m := range messages {
		list = append(list, m.Seq)
	}
	return list
}

func TestHistory(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	reader := queries.NewReader(db)
	t.Cleanup(reader.Close)
	chat, empty, other := queriestest.Chat(t, db, 1, 2), queriestest.Chat(t, db, 1, 3), queriestest.Chat(t, db, 2, 3)
	fill(t, db, chat, 9)
	fill(t, db, other, 9)

	for name, c := range map[string]struct {
		window queries.Window
		want   []int64
	}{
		"the newest":                    {queries.Window{Direction: queries.Older, Anchor: 1 << 62, Limit: 3}, []int64{7, 8, 9}},
		"older than a position":         {queries.Window{Direction: queries.Older, Anchor: 7, Limit: 3}, []int64{4, 5, 6}},
		"older, fewer than asked for":   {queries.Window{Direction: queries.Older, Anchor: 3, Limit: 3}, []int64{1, 2}},
		"older than the first":          {queries.Window{Direction: queries.Older, Anchor: 1, Limit: 3}, []int64{}},
		"the oldest":                    {queries.Window{Direction: queries.Newer, Anchor: 0, Limit: 3}, []int64{1, 2, 3}},
		"newer than a position":         {queries.Window{Direction: queries.Newer, Anchor: 3, Limit: 3}, []int64{4, 5, 6}},
		"newer than the last":           {queries.Window{Direction: queries.Newer, Anchor: 9, Limit: 3}, []int64{}},
		"around a position":             {queries.Window{Direction: queries.Around, Anchor: 5, Limit: 3}, []int64{4, 5, 6}},
		"around a position, even limit": {queries.Window{Direction: queries.Around, Anchor: 5, Limit: 4}, []int64{3, 4, 5, 6}},
		"around the first":              {queries.Window{Direction: queries.Around, Anchor: 1, Limit: 3}, []int64{1, 2, 3}},
		"around the last":               {queries.Window{Direction: queries.Around, Anchor: 9, Limit: 3}, []int64{7, 8, 9}},
		"around one beyond the last":    {queries.Window{Direction: queries.Around, Anchor: 1 << 62, Limit: 3}, []int64{7, 8, 9}},
		"around, more than there are":   {queries.Window{Direction: queries.Around, Anchor: 5, Limit: 100}, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, err := reader.History(t.Context(), chat, c.window)
			require.NoError(t, err)
			require.Equal(t, c.want, seqs(h.Messages))
			require.Equal(t, []int64{1, 2}, h.Members)
			require.Equal(t, int64(9), h.LastSeq)
		})
	}

	t.Run("every field comes back", func(t *testing.T) {
		t.Parallel()
		h, err := reader.Message(t.Context(), chat, 4)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff([]queries.Message{{
			ChatID: chat, Seq: 4, SenderID: 1, RecipientID: 2,
			DeliveredAt:     time.Date(2026, 1, 2, 15, 4, 9, 123456000, time.UTC),
			ClientMessageID: h.Messages[0].ClientMessageID, SentAt: "2026-01-02T15:04:05.000001Z", Body: "message 4",
		}}, h.Messages))
		require.Contains(t, h.Messages[0].ClientMessageID, "-4")
	})
	t.Run("a chat without messages is not an unknown chat", func(t *testing.T) {
		t.Parallel()
		h, err := reader.History(t.Context(), empty, queries.Window{Anchor: 1 << 62, Limit: 3})
		require.NoError(t, err)
		require.Equal(t, []int64{1, 3}, h.Members)
		require.Empty(t, h.Messages)
		h, err = reader.Message(t.Context(), chat, 10)
		require.NoError(t, err)
		require.Empty(t, h.Messages)
	})
	t.Run("an unknown chat", func(t *testing.T) {
		t.Parallel()
		_, err := reader.History(t.Context(), 5, queries.Window{Limit: 3})
		require.ErrorIs(t, err, queries.ErrNotFound)
		_, err = reader.Message(t.Context(), 5, 1)
		require.ErrorIs(t, err, queries.ErrNotFound)
	})
	t.Run("a caller who has gone", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := reader.History(ctx, chat, queries.Window{Limit: 3})
		require.ErrorIs(t, err, context.Canceled)
	})
}
