package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"chat-messaging/queries"
)

// Lookup finds messages for operators, and tells how far each has come. It is
// safe for concurrent use.
type Lookup struct {
	DB     *queries.DB
	Reader *queries.Reader
	Policy Policy
	// EventID is the id of a stored message's event, and its key in the outbox.
	EventID func(*queries.Message) (id string, key uuid.UUID, err error)
}

// MessageQuery says what to look for. It names a chat, or a sender, or a sender
// or chat with the client's id: that is what the two indexes of the table can
// answer. By the client's id alone every message there is would have to be read.
type MessageQuery struct {
	ChatID          int64  `json:"chat,omitempty"`
	SenderID        int64  `json:"sender,omitempty"`
	ClientMessageID string `json:"client_message_id,omitempty"`
	// Seq is only for the audit: see Path.
	Seq int64 `json:"seq,omitempty"`
	// Limit is the most messages; at most one has a sender's client id.
	Limit int `json:"limit,omitempty"`
}

// ErrQueryTooWide is returned for a query that nothing can answer cheaply.
var ErrQueryTooWide = errors.New("a chat or a sender must be named: no index begins with the client's id, so that alone would read every message there is")

// FoundMessage is a stored message as operators see it.
type FoundMessage struct {
	ID              string    `json:"id"`
	ChatID          string    `json:"chat_id"`
	Seq             int64     `json:"seq"`
	ClientMessageID string    `json:"client_message_id"`
	SenderID        int64     `json:"sender_id"`
	RecipientID     int64     `json:"recipient_id"`
	SentAt          string    `json:"sent_at"`
	DeliveredAt     time.Time `json:"delivered_at"`
	IsEdited        bool      `json:"is_edited"`
	IsDeleted       bool      `json:"is_deleted"`
	BodyBytes       int       `json:"body_bytes"`
	// Body is nil unless it was asked for.
	Body *string `json:"body"`
}

// FoundPoisoned is a message that is not stored because it was poisoned.
type FoundPoisoned struct {
	ID       int64               `json:"id"`
	State    queries.PoisonState `json:"state"`
	Reason   string              `json:"reason"`
	Stage    string              `json:"stage"`
	LastSeen time.Time           `json:"last_seen"`
}

// Found is all that is known of what a query names.
type Found struct {
	Messages []FoundMessage  `json:"messages"`
	Poisoned []FoundPoisoned `json:"poisoned"`
}

// MessagePath is a message's way through the service, as far as it is kept, and
// the messages around it.
type MessagePath struct {
	Message FoundMessage `json:"message"`
	// Members and LastSeq are the chat's.
	Members []int64 `json:"members"`
	LastSeq int64   `json:"last_seq"`
	// Decision is what the policies say of the message today; what they said at
	// the time is not kept, but it was a permit.
	Decision Decision `json:"decision"`
	Event    Event    `json:"event"`
	// Before and After ascend by position.
	Before []FoundMessage `json:"before"`
	After  []FoundMessage `json:"after"`
}

// Decision is an answer of the policies.
type Decision struct {
	Permit bool   `json:"permit"`
	Policy string `json:"policy"`
}

// Where a message's event can be.
const (
	// EventWaiting: in the outbox, for its dispatch.
	EventWaiting = "waiting"
	// EventDispatched: the broker has confirmed it.
	EventDispatched = "dispatched"
	// EventUnknown: the outbox is too long to be searched.
	EventUnknown = "unknown"
)

// Event is where a message's event is.
type Event struct {
	ID    string `json:"id"`
	State string `json:"state"`
	// WaitingSince is nil unless it waits.
	WaitingSince *time.Time `json:"waiting_since"`
}

// Find returns the messages that the query names, of a chat by position and of a
// sender the newest first. Their bodies are shown to reader, who is recorded in
// the audit, and to nobody if that is nil. That there are none is no error: a
// rejected message is not kept, and of a poisoned one Poisoned tells.
func (l *Lookup) Find(ctx context.Context, q MessageQuery, reader *queries.Operator) ([]FoundMessage, error) {
	messages, err := l.find(ctx, q)
	if err != nil && !errors.Is(err, queries.ErrNotFound) { // a chat that does not exist has no messages
		return nil, err
	}
	if err := l.record(ctx, reader, q, len(messages)); err != nil {
		return nil, err
	}
	return found(messages, reader != nil), nil
}

// FindAll is Find and Poisoned in one answer.
func (l *Lookup) FindAll(ctx context.Context, q MessageQuery, reader *queries.Operator) (*Found, error) {
	messages, err := l.Find(ctx, q, reader)
	if err != nil {
		return nil, err
	}
	poisoned, err := l.Poisoned(ctx, q)
	if err != nil {
		return nil, err
	}
	return &Found{Messages: messages, Poisoned: poisoned}, nil
}

// poisonSearched is how many poisoned messages of a sender or a chat are looked
// through for a client's id, the newest first.
const poisonSearched = 1000

// Poisoned returns the poisoned messages that have the query's client id; none if
// it has no such id.
func (l *Lookup) Poisoned(ctx context.Context, q MessageQuery) ([]FoundPoisoned, error) {
	list := []FoundPoisoned{}
	if q.ClientMessageID == "" {
		return list, nil
	}
	filter := queries.PoisonFilter{Sender: q.SenderID, Limit: poisonSearched}
	if q.ChatID != 0 {
		filter.Chat = strconv.FormatInt(q.ChatID, 10)
	}
	page, err := l.DB.ListPoisoned(ctx, filter, 0)
	if err != nil {
		return nil, err
	}
	for _, e := range page.Entries {
		if e.ClientMessageID == q.ClientMessageID {
			list = append(list, FoundPoisoned{ID: e.ID, State: e.State, Reason: e.Code, Stage: e.Stage, LastSeen: e.LastSeen})
		}
	}
	return list, nil
}

func (l *Lookup) find(ctx context.Context, q MessageQuery) ([]queries.Message, error) {
	switch {
	case q.ClientMessageID == "" && q.SenderID != 0:
		return l.Reader.LatestOfSender(ctx, q.SenderID, q.ChatID, q.Limit)
	case q.ClientMessageID == "" && q.ChatID != 0:
		h, err := l.Reader.History(ctx, q.ChatID, queries.Window{Direction: queries.Older, Anchor: 1<<63 - 1, Limit: q.Limit})
		if err != nil {
			return nil, err
		}
		return h.Messages, nil
	case q.SenderID != 0:
		return l.findSent(ctx, q, []int64{q.SenderID})
	case q.ChatID != 0:
		h, err := l.Reader.Message(ctx, q.ChatID, 0) // only for its members
		if err != nil {
			return nil, err
		}
		return l.findSent(ctx, q, h.Members)
	}
	return nil, ErrQueryTooWide
}

// findSent keeps to the query's chat, if it names one.
func (l *Lookup) findSent(ctx context.Context, q MessageQuery, senders []int64) ([]queries.Message, error) {
	messages, err := l.Reader.FindSent(ctx, senders, q.ClientMessageID)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(messages, func(m queries.Message) bool { return q.ChatID != 0 && m.ChatID != q.ChatID }), nil
}

// Path follows the message at a position of a chat, and shows up to around
// neighbours, and the bodies of all of them to reader as Find does. It returns
// queries.ErrNotFound if there is no such message.
func (l *Lookup) Path(ctx context.Context, chatID, seq int64, around int, reader *queries.Operator) (*MessagePath, error) {
	h, err := l.Reader.History(ctx, chatID, queries.Window{Direction: queries.Around, Anchor: seq, Limit: around + 1})
	if err != nil {
		return nil, err
	}
	here := slices.IndexFunc(h.Messages, func(m queries.Message) bool { return m.Seq == seq })
	if here < 0 {
		return nil, fmt.Errorf("looking a message up: %w", queries.ErrNotFound)
	}
	selection := MessageQuery{ChatID: chatID, Seq: seq, Limit: around + 1}
	if err := l.record(ctx, reader, selection, len(h.Messages)); err != nil {
		return nil, err
	}
	p := &MessagePath{Members: h.Members, LastSeq: h.LastSeq}
	p.Before, p.After = found(h.Messages[:here], reader != nil), found(h.Messages[here+1:], reader != nil)
	message := &h.Messages[here]
	p.Message = newFound(message, reader != nil)
	p.Decision.Permit, p.Decision.Policy = l.Policy.Decide("send", message.SenderID, h.Members, message.RecipientID)
	p.Event, err = l.event(ctx, message)
	return p, err
}

// record leaves in the audit that somebody sees bodies. It comes first: what
// cannot be recorded is not shown.
func (l *Lookup) record(ctx context.Context, reader *queries.Operator, q MessageQuery, shown int) error {
	if reader == nil {
		return nil
	}
	selection, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("recording who sees bodies: %w", err)
	}
	return l.DB.RecordAudit(ctx, queries.AuditRecord{
		Who: reader.Who, Via: reader.Via, Action: "messages.body", Selection: selection, Affected: int64(shown), Result: queries.AuditDone,
	})
}

func (l *Lookup) event(ctx context.Context, m *queries.Message) (Event, error) {
	id, key, err := l.EventID(m)
	if err != nil {
		return Event{}, err
	}
	e := Event{ID: id, State: EventDispatched}
	waiting, err := l.Reader.FindOutbox(ctx, key)
	switch {
	case err != nil:
		return Event{}, err
	case len(waiting.Rows) > 0:
		e.State, e.WaitingSince = EventWaiting, &waiting.Rows[0].CreatedAt
	case !waiting.Complete:
		e.State = EventUnknown
	}
	return e, nil
}

func found(messages []queries.Message, bodies bool) []FoundMessage {
	list := make([]FoundMessage, 0, len(messages))
	for i := range messages {
		list = append(list, newFound(&messages[i], bodies))
	}
	return list
}

func newFound(m *queries.Message, bodies bool) FoundMessage {
	chat := strconv.FormatInt(m.ChatID, 10)
	f := FoundMessage{
		ID: chat + "-" + strconv.FormatInt(m.Seq, 10), ChatID: chat, Seq: m.Seq, ClientMessageID: m.ClientMessageID,
		SenderID: m.SenderID, RecipientID: m.RecipientID, SentAt: m.SentAt, DeliveredAt: m.DeliveredAt,
		IsEdited: m.IsEdited, IsDeleted: m.IsDeleted, BodyBytes: len(m.Body),
	}
	if bodies {
		f.Body = &m.Body
	}
	return f
}
