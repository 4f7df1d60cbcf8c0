package arena_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/bench/arena"
	"chat-messaging/handlers"
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
	for m := range w.Messages() {
		all = append(all, string(m.Payload))
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
		for message := range w.Messages() {
			var m sent
			require.NoError(t, json.Unmarshal(message.Payload, &m))
			require.Equal(t, message.Key.String(), m.ClientMessageID)
			require.Len(t, m.Body, 50)
			require.InDelta(t, 300, len(message.Payload), 30, "what the figures are published for")
			require.Equal(t, arena.Accepted, message.Outcome)
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

func TestWorkloadOfOneChat(t *testing.T) {
	t.Parallel()
	chats := map[string]bool{}
	for _, text := range texts(arena.Workload{Count: 100, Chats: 1, BodyBytes: 5}) {
		var m sent
		require.NoError(t, json.Unmarshal([]byte(text), &m))
		chats[m.ChatID] = true
	}
	require.Len(t, chats, 1)
	for _, text := range texts(arena.Workload{Count: 100, Chats: 3, BodyBytes: 5}) {
		var m sent
		require.NoError(t, json.Unmarshal([]byte(text), &m))
		delete(chats, m.ChatID)
	}
	require.Empty(t, chats, "fewer chats are among more")
}

func TestWorkloadOfAllOutcomes(t *testing.T) {
	t.Parallel()
	clean := arena.Workload{Count: 3_000, Chats: 20, BodyBytes: 50, Seed: 7}
	mixed := clean
	mixed.Rejected, mixed.Repeated, mixed.Poisoned = 0.05, 0.05, 0.01
	decoder := handlers.NewDecoder(handlers.Limits{})
	found := map[arena.Outcome]int{}
	codes := map[string]int{}
	first := map[string]string{}
	for m := range mixed.Messages() {
		found[m.Outcome]++
		message, rejection, failure := decoder.Decode(m.Payload, "utf-8")
		require.Equal(t, m.Outcome == arena.Poisoned, failure != nil, "%s", m.Payload)
		if failure != nil {
			continue
		}
		require.Equal(t, m.Key.String(), message.ClientMessageID)
		switch m.Outcome {
		case arena.Rejected:
			codes[m.Code]++
			if m.Code == "invalid_body" {
				require.NotNil(t, rejection)
				require.Equal(t, m.Code, rejection.Code)
				continue
			}
		case arena.Repeated:
			require.Equal(t, first[m.Key.String()], string(m.Payload), "a repeat is the same to the byte")
		case arena.Accepted:
			require.Empty(t, first[m.Key.String()], "no key twice")
			first[m.Key.String()] = string(m.Payload)
		}
		require.Nil(t, rejection, "%s", m.Payload)
	}
	require.InDelta(t, 150, found[arena.Rejected], 50)
	require.InDelta(t, 150, found[arena.Repeated], 50)
	require.InDelta(t, 30, found[arena.Poisoned], 20)
	require.Len(t, codes, 3)
	for code, n := range codes {
		require.InDelta(t, 50, n, 35, code)
	}

	pure := map[string]bool{}
	for _, text := range texts(clean) {
		pure[text] = true
	}
	for _, text := range first {
		require.True(t, pure[text], "what is accepted is the same with and without the others")
	}
}
