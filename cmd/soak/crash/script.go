package crash

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
)

// Kind is what a message is, and so what must become of it.
type Kind int

// The kinds of message.
const (
	Good        Kind = iota // stored
	Repeat                  // sent before, with the same content: nothing new is stored
	Conflict                // the key of another message, with other content: rejected
	UnknownChat             // rejected
	NotRelated              // to a chat of others: rejected
	EmptyBody               // rejected
	Broken                  // no JSON: poisoned
	Nameless                // names no sender: poisoned
)

// code is what a rejection of the kind says; empty for the kinds that are not
// rejected.
func (k Kind) code() string {
	switch k {
	case Conflict:
		return "duplicated"
	case UnknownChat:
		return "unknown_chat"
	case NotRelated:
		return "not_related"
	case EmptyBody:
		return "invalid_body"
	default:
		return ""
	}
}

func (k Kind) poisoned() bool { return k == Broken || k == Nameless }

// announced tells whether a message of the kind leads to an event of its own.
func (k Kind) announced() bool { return k == Good || k.code() != "" }

// Entry is one message of a script.
type Entry struct {
	Kind              Kind
	Chat              int // index of the chat that it names
	Sender, Recipient int64
	ID                string // client_message_id
	Body              string
	Payload           []byte
	// Seq is the place of a good message among those of its chat.
	Seq int
	// Of is the index of the good message that a repeat or a conflict refers to.
	Of int
	// Publishes is how often it was published: more than once if the broker died
	// before it confirmed.
	Publishes int
}

// Chat is two users.
type Chat struct {
	ID      int64 // by the service's table
	Members [2]int64
}

// sentAt is the same for all messages: nothing may hang on it.
const sentAt = "2025-12-16T20:19:31.123456Z"

// backReach is how far behind the message that it refers to a repeat or a
// conflict comes at the least: what is not confirmed is published again, and must
// not overtake.
const backReach = 2 * producerWindow

// stranger is in no chat.
const stranger = 1_000_000

// Script is what is sent, in order, and what must come of it. It is drawn while
// it is sent, so it has no end. Safe for concurrent use.
type Script struct {
	mu      sync.Mutex
	random  *rand.Rand
	chats   []Chat
	entries []*Entry
	sent    []int // good messages by chat
	events  []int // events that the first n+1 entries must lead to
	goods   []int // indexes of the good entries
}

// NewScript returns an empty script over the chats.
func NewScript(seed uint64, chats []Chat) *Script {
	return &Script{random: rand.New(rand.NewPCG(seed, 0)), chats: chats, sent: make([]int, len(chats))} //nolint:gosec // a run can be repeated
}

// Draw adds n messages of all kinds.
func (s *Script) Draw(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.add(s.draw(), s.random.IntN(len(s.chats)))
	}
}

// Add adds one message of the kind to a chat.
func (s *Script) Add(kind Kind, chat int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(kind, chat)
}

// draw chooses a kind: of a hundred messages 78 are good.
func (s *Script) draw() Kind {
	switch n := s.random.IntN(100); {
	case n < 78:
		return Good
	case n < 84:
		return Repeat
	case n < 88:
		return Conflict
	case n < 91:
		return UnknownChat
	case n < 94:
		return NotRelated
	case n < 96:
		return EmptyBody
	case n < 98:
		return Broken
	default:
		return Nameless
	}
}

func (s *Script) add(kind Kind, chat int) {
	i := len(s.entries)
	e := &Entry{Kind: kind, Chat: chat, ID: "m" + strconv.Itoa(i), Body: fmt.Sprintf("%d %0*d", i, 1+s.random.IntN(200), 0)}
	if kind == Repeat || kind == Conflict {
		of, ok := s.earlier(i)
		if !ok {
			kind, e.Kind = Good, Good
		} else {
			e.Of, e.Chat, e.ID = of, s.entries[of].Chat, s.entries[of].ID
		}
	}
	members := s.chats[e.Chat].Members
	from := s.random.IntN(2)
	e.Sender, e.Recipient = members[from], members[1-from]
	switch kind {
	case Good:
		s.sent[chat]++
		e.Seq = s.sent[chat]
		s.goods = append(s.goods, i)
	case Repeat:
		of := s.entries[e.Of]
		e.Sender, e.Recipient, e.Body = of.Sender, of.Recipient, of.Body
	case Conflict:
		of := s.entries[e.Of]
		e.Sender, e.Recipient = of.Sender, of.Recipient
	case NotRelated:
		e.Sender = stranger
	case EmptyBody:
		e.Body = ""
	}
	e.Payload = s.payload(e)
	before := 0
	if i > 0 {
		before = s.events[i-1]
	}
	if kind.announced() {
		before++
	}
	s.entries = append(s.entries, e)
	s.events = append(s.events, before)
}

// earlier chooses a good message that is confirmed by the time that the i-th is
// sent.
func (s *Script) earlier(i int) (int, bool) {
	var n int
	for n = len(s.goods); n > 0 && s.goods[n-1] > i-backReach; n-- {
	}
	if n == 0 {
		return 0, false
	}
	return s.goods[s.random.IntN(n)], true
}

// payload is the message as the gateway sends it.
func (s *Script) payload(e *Entry) []byte {
	chat := strconv.FormatInt(s.chats[e.Chat].ID, 10)
	if e.Kind == UnknownChat {
		chat = strconv.FormatInt(s.chats[e.Chat].ID^1<<40, 10)
	}
	fields := map[string]any{
		"id": nil, "client_message_id": e.ID, "chat_id": chat, "sender_id": e.Sender, "recipient_id": e.Recipient,
		"sent_at": sentAt, "delivered_at": nil, "body": e.Body, "status": "sent", "is_edited": false, "is_deleted": false,
	}
	if e.Kind == Nameless {
		delete(fields, "sender_id")
	}
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err) // texts and numbers
	}
	if e.Kind == Broken {
		text = text[:len(text)-1]
	}
	return text
}

// Len is how many messages were drawn.
func (s *Script) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries)
}

// Events is how many different events the first n messages lead to.
func (s *Script) Events(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n == 0 {
		return 0
	}
	return s.events[n-1]
}

// Entries returns the messages from i to before j. They belong to the script.
func (s *Script) Entries(i, j int) []*Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries[i:j:j]
}

// users are all who may be named by an event.
func users(chats []Chat) []int64 {
	ids := []int64{stranger}
	for _, c := range chats {
		ids = append(ids, c.Members[0], c.Members[1])
	}
	return ids
}
