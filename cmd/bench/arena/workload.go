package arena

import (
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Workload is what the messages of a round are like.
type Workload struct {
	// Count is how many messages there are.
	Count int
	// Chats is how many chats they are spread over, at random.
	Chats int
	// BodyBytes is the length of a message's text.
	BodyBytes int
	// Seed makes the messages: the same seed, the same messages.
	Seed uint64
}

// chat is a chat of two.
type chat struct {
	id, first, second int64
}

// chats returns the chats, the same n for every workload.
func chats(n int) []chat {
	random := rand.New(rand.NewPCG(0, 0)) //nolint:gosec // to be repeatable, not secret
	all := make([]chat, n)
	for i := range all {
		all[i] = chat{id: 1 + random.Int64N(1<<62), first: int64(2*i + 1), second: int64(2*i + 2)}
	}
	return all
}

// message is a message as the gateway sends it.
type message struct {
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

// Messages yields the key and the JSON of each message.
func (w Workload) Messages() iter.Seq2[uuid.UUID, []byte] {
	return func(yield func(uuid.UUID, []byte) bool) {
		random := rand.New(rand.NewPCG(w.Seed, 1)) //nolint:gosec // to be repeatable, not secret
		all := chats(w.Chats)
		body := make([]byte, w.BodyBytes)
		at := time.Date(2025, 12, 16, 20, 19, 31, 0, time.UTC)
		for i := range w.Count {
			key := newKey(random)
			to := all[random.IntN(len(all))]
			if random.IntN(2) == 0 {
				to.first, to.second = to.second, to.first
			}
			for j := range body {
				body[j] = byte('a' + random.IntN(26)) //nolint:gosec // a letter fits
			}
			text, err := json.Marshal(message{
				ClientMessageID: key.String(), ChatID: strconv.FormatInt(to.id, 10),
				SenderID: to.first, RecipientID: to.second, Body: string(body), Status: "sent",
				SentAt: at.Add(time.Duration(i) * time.Microsecond).Format("2006-01-02T15:04:05.000000Z"),
			})
			if err != nil {
				panic(fmt.Sprintf("encoding a message of texts and numbers: %v", err)) // cannot happen
			}
			if !yield(key, text) {
				return
			}
		}
	}
}

// newKey draws a UUID of version 4.
func newKey(random *rand.Rand) uuid.UUID {
	var key uuid.UUID
	for i := range key {
		key[i] = byte(random.Uint32()) //nolint:gosec // any eight bits will do
	}
	key[6] = key[6]&0x0f | 0x40
	key[8] = key[8]&0x3f | 0x80
	return key
}
