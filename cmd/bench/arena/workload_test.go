package arena_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/bench/arena"
)

// sent is a message as a contender reads it.
type sent struct {
	ClientMessageID string `json:"client_message_id"`
	ChatID          string `json:"chat_id"`
	SenderID        int64  `json:"sender_id"`
	RecipientID     int64  `json:"recipient_id"`
	Body            string `json:"body"`
}

func texts(w arena.Workload) []string {
	var all []string
	for _, text := range w.Messages() {
		all = append(all, string(text))
	}
	return all
}

func TestWorkload(t *testing.T) {
	t.Parallel()
	w := arena.Workload{Count: 500, Chats: 20, BodyBytes: 50, Seed: 7}

	t.Run("is the same for the same seed, and only for that", func(t *testing.T) {
		t.Parallel()
		other := w
		other.Seed = 8
		same := w
		require.Equal(t, texts(w), texts(same))
		require.NotEqual(t, texts(w), texts(other))
	})
	t.Run("has as many different messages as it says, with their keys", func(t *testing.T) {
		t.Parallel()
		seen := map[string]bool{}
		for key, text := range w.Messages() {
			var m sent
			require.NoError(t, json.Unmarshal(text, &m))
			require.Equal(t, key.String(), m.ClientMessageID)
			require.Len(t, m.Body, 50)
			require.InDelta(t, 300, len(text), 30, "what the figures are published for")
			seen[m.ClientMessageID] = true
		}
		require.Len(t, seen, 500)
	})
	t.Run("uses every chat, each with its own two members, in both directions", func(t *testing.T) {
		t.Parallel()
		members := map[string][]int64{}
		chats := map[int64]string{}
		for _, text := range texts(w) {
			var m sent
			require.NoError(t, json.Unmarshal([]byte(text), &m))
			id, err := strconv.ParseInt(m.ChatID, 10, 64)
			require.NoError(t, err)
			require.Positive(t, id)
			for _, user := range []int64{m.SenderID, m.RecipientID} {
				if chats[user] != "" {
					require.Equal(t, m.ChatID, chats[user])
				}
				chats[user] = m.ChatID
			}
			if !slices.Contains(members[m.ChatID], m.SenderID) {
				members[m.ChatID] = append(members[m.ChatID], m.SenderID)
			}
		}
		require.Len(t, members, 20)
		for _, senders := range members {
			require.Len(t, senders, 2)
		}
	})
	t.Run("can be left early", func(t *testing.T) {
		t.Parallel()
		for range w.Messages() {
			break
		}
	})
}
