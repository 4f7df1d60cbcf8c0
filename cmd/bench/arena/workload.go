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
	// Chats is how many chats they are spread over, at random. They are the first
	// of the arena's.
	Chats int
	// BodyBytes is the length of a message's text.
	BodyBytes int
	// Rejected, Repeated and Poisoned are the shares, from 0 to 1, of messages
	// that break a rule, that were sent before, and that are no messages at all.
	// They lie among the others at random.
	Rejected, Repeated, Poisoned float64
	// Seed makes the messages: the same seed, the same messages.
	Seed uint64
}

// Outcome is what must become of a message.
type Outcome uint8

// The outcomes.
const (
	// Accepted messages are stored and announced.
	Accepted Outcome = iota
	// Rejected messages are answered with the reason, and not stored.
	Rejected
	// Repeated messages are answered with the event of the first.
	Repeated
	// Poisoned messages go to the poison queue.
	Poisoned
)

// Message is one message of a workload.
type Message struct {
	// Key is its client_message_id. A repeated message has that of the first.
	Key     uuid.UUID
	Payload []byte
	Outcome Outcome
	// Code is the reject_code that a rejected message is answered with.
	Code string
}

// chat is a chat of two.
type chat struct {
	id, first, second int64
}

// chats returns the chats, the same n for every workload; fewer are the first of
// more.
func chats(n int) []chat {
	random := rand.New(rand.NewPCG(0, 0)) //nolint:gosec // to be repeatable, not secret
	all := make([]chat, n)
	for i := range all {
		all[i] = chat{id: 1 + random.Int64N(1<<62), first: int64(2*i + 1), second: int64(2*i + 2)}
	}
	return all
}

// wire is a message as the gateway sends it.
type wire struct {
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

// repeatWithin is how many messages back a repeated one was first sent, at most:
// less than a batch, so that some repeats share theirs with the first.
const repeatWithin = 500

// Messages yields the messages in their order.
func (w Workload) Messages() iter.Seq[Message] {
	return func(yield func(Message) bool) {
		random := rand.New(rand.NewPCG(w.Seed, 1)) //nolint:gosec // to be repeatable, not secret
		all := chats(w.Chats)
		body := make([]byte, w.BodyBytes)
		at := time.Date(2025, 12, 16, 20, 19, 31, 0, time.UTC)
		var recent []Message // accepted, for repeats
		for i := range w.Count {
			key := newKey(random)
			to := all[random.IntN(len(all))]
			if random.IntN(2) == 0 {
				to.first, to.second = to.second, to.first
			}
			for j := range body {
				body[j] = byte('a' + random.IntN(26)) //nolint:gosec // a letter fits
			}
			m := w.message(random, recent, key, wire{
				ClientMessageID: key.String(), ChatID: strconv.FormatInt(to.id, 10),
				SenderID: to.first, RecipientID: to.second, Body: string(body), Status: "sent",
				SentAt: at.Add(time.Duration(i) * time.Microsecond).Format("2006-01-02T15:04:05.000000Z"),
			})
			if !yield(m) {
				return
			}
			if w.Repeated > 0 && m.Outcome == Accepted {
				if recent = append(recent, m); len(recent) > repeatWithin {
					recent = recent[1:]
				}
			}
		}
	}
}

// message decides the outcome and spoils what must not be accepted.
func (w Workload) message(random *rand.Rand, recent []Message, key uuid.UUID, m wire) Message {
	// Drawn in any case, so that workloads of one seed differ in nothing else.
	draw, which := random.Float64(), random.IntN(1<<30)
	switch {
	case draw < w.Rejected:
		code := reject(&m, which)
		return Message{Key: key, Payload: encode(m), Outcome: Rejected, Code: code}
	case draw < w.Rejected+w.Repeated && len(recent) > 0:
		again := recent[which%len(recent)]
		again.Outcome = Repeated
		return again
	case draw >= 1-w.Poisoned:
		return Message{Key: key, Payload: poison(m, which), Outcome: Poisoned}
	default:
		return Message{Key: key, Payload: encode(m), Outcome: Accepted}
	}
}

// reject makes the message break a rule: one that takes no database to see, one
// that takes the look-up of a chat, one that takes the policy.
func reject(m *wire, which int) (code string) {
	switch which % 3 {
	case 0:
		m.Body = "   "
		return "invalid_body"
	case 1:
		// Ids of chats are drawn from half the range, these from the other half.
		m.ChatID = strconv.FormatInt(1<<62+1+int64(which), 10)
		return "unknown_chat"
	default:
		m.RecipientID += 1 << 40 // nobody's
		return "not_related"
	}
}

// poison makes a text of which nobody can tell the sender. It still holds the
// key, to be told from others.
func poison(m wire, which int) []byte {
	text := encode(m)
	switch which % 3 {
	case 0:
		return text[:len(text)-1] // no closing brace
	case 1:
		return []byte("[" + string(text) + "]")
	default:
		m.SenderID = 0
		return encode(m)
	}
}

func encode(m wire) []byte {
	text, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("encoding a message of texts and numbers: %v", err)) // cannot happen
	}
	return text
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
