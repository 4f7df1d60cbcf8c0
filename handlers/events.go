package handlers

import (
	"crypto/sha256"
	"errors"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"chat-messaging/queries"
)

// The names of the events on the wire. They are short for the reason that the ids
// are, see eventIDBytes.
const (
	NameMessageDelivered = "delivered"
	NameMessageRejected  = "rejected"
)

// The status of an outcome: it stands in the event and is part of its id.
const (
	statusDelivered = "delivered"
	statusRejected  = "rejected"
)

// MessageDelivered says that a message is stored. It is for both members.
type MessageDelivered struct {
	ChatID          int64
	Seq             int64
	SenderID        int64
	RecipientID     int64
	DeliveredAt     time.Time
	IsEdited        bool
	IsDeleted       bool
	ClientMessageID string
	SentAt          string
	Body            string
}

// NewDelivered is the event of a stored message: of the same message, always the
// same event.
func NewDelivered(m *queries.Message) MessageDelivered {
	return MessageDelivered{
		ChatID:          m.ChatID,
		Seq:             m.Seq,
		SenderID:        m.SenderID,
		RecipientID:     m.RecipientID,
		DeliveredAt:     onTheWire(m.DeliveredAt),
		IsEdited:        m.IsEdited,
		IsDeleted:       m.IsDeleted,
		ClientMessageID: m.ClientMessageID,
		SentAt:          m.SentAt,
		Body:            m.Body,
	}
}

// ID is the message's id for clients: its place in the table.
func (d *MessageDelivered) ID() string {
	var onStack [2*maxDigits + 1]byte
	b := strconv.AppendInt(onStack[:0], d.ChatID, 10)
	b = append(b, '-')
	return string(strconv.AppendInt(b, d.Seq, 10))
}

// EventID is a function of the message's idempotency key, so every dispatch of
// the event has it, whoever dispatches it and however often.
func (d *MessageDelivered) EventID() string {
	return eventID(statusDelivered, d.SenderID, d.ClientMessageID)
}

func (d *MessageDelivered) json() eventJSON {
	return eventJSON{
		ID:              text(d.ID()),
		ClientMessageID: text(d.ClientMessageID),
		ChatID:          text(strconv.FormatInt(d.ChatID, 10)),
		SenderID:        d.SenderID,
		RecipientID:     d.RecipientID,
		SentAt:          text(d.SentAt),
		Body:            text(d.Body),
		Status:          statusDelivered,
		DeliveredAt:     formatWireTime(d.DeliveredAt),
		IsEdited:        d.IsEdited,
		IsDeleted:       d.IsDeleted,
		Seq:             d.Seq,
	}
}

func (d *MessageDelivered) unmarshal(msg *message.Message) error {
	e, at, err := parseEvent(msg.Payload)
	if err != nil {
		return err
	}
	chat, ok := parsePositive(e.ChatID.text)
	read := MessageDelivered{
		ChatID:          chat,
		Seq:             e.Seq,
		SenderID:        e.SenderID,
		RecipientID:     e.RecipientID,
		DeliveredAt:     at,
		IsEdited:        e.IsEdited,
		IsDeleted:       e.IsDeleted,
		ClientMessageID: e.ClientMessageID.text,
		SentAt:          e.SentAt.text,
		Body:            e.Body.text,
	}
	if !ok || *e != read.json() || e.Seq == 0 || e.RecipientID == 0 {
		return errors.New("not a delivered message: a field is missing or does not fit the others")
	}
	*d = read
	return nil
}

// MessageRejected says that a message was not stored, and why. It is for its
// sender.
type MessageRejected struct {
	// Message is what could be read of it; its Unread fields are null on the wire,
	// an unread recipient is 0.
	Message
	Rejection
	// DecidedAt is delivered_at on the wire.
	DecidedAt time.Time

	id string
}

// NewRejected is the event of a rejected message. The payload of its delivery
// makes the event's id: it keeps apart the rejected messages of one sender whose
// key cannot be read or is used again.
func NewRejected(m Message, payload []byte, r Rejection, now time.Time) MessageRejected {
	digest := sha256.Sum256(payload)
	return MessageRejected{
		Message:   m,
		Rejection: r,
		DecidedAt: onTheWire(now),
		id:        eventID(statusRejected, m.SenderID, m.ClientMessageID, r.Code, string(digest[:])),
	}
}

// EventID is the same for every dispatch of the event, and for every rejection
// of the same delivery for the same reason. It is empty if neither NewRejected
// nor Unmarshal made the event.
func (r *MessageRejected) EventID() string { return r.id }

func (r *MessageRejected) json() eventJSON {
	return eventJSON{
		ClientMessageID: nullableText{r.ClientMessageID, !r.Unread.Has(FieldClientMessageID)},
		ChatID:          nullableText{r.ChatID, !r.Unread.Has(FieldChatID)},
		SenderID:        r.SenderID,
		RecipientID:     r.RecipientID,
		SentAt:          nullableText{r.SentAt, !r.Unread.Has(FieldSentAt)},
		Body:            nullableText{r.Body, !r.Unread.Has(FieldBody)},
		Status:          statusRejected,
		DeliveredAt:     formatWireTime(r.DecidedAt),
		RejectReason:    text(r.Reason),
		RejectCode:      text(r.Code),
	}
}

func (r *MessageRejected) unmarshal(msg *message.Message) error {
	e, at, err := parseEvent(msg.Payload)
	if err != nil {
		return err
	}
	read := MessageRejected{
		Message: Message{
			ClientMessageID: e.ClientMessageID.text,
			ChatID:          e.ChatID.text,
			SentAt:          e.SentAt.text,
			Body:            e.Body.text,
			SenderID:        e.SenderID,
			RecipientID:     e.RecipientID,
		},
		Rejection: Rejection{Code: e.RejectCode.text, Reason: e.RejectReason.text},
		DecidedAt: at,
		id:        msg.UUID,
	}
	for _, f := range [...]struct {
		field   Fields
		present bool
	}{
		{FieldClientMessageID, e.ClientMessageID.present},
		{FieldChatID, e.ChatID.present},
		{FieldSentAt, e.SentAt.present},
		{FieldBody, e.Body.present},
		{FieldRecipientID, e.RecipientID != 0},
	} {
		if !f.present {
			read.Unread |= f.field
		}
	}
	if *e != read.json() || msg.UUID == "" {
		return errors.New("not a rejected message: a field is missing or does not fit the others")
	}
	*r = read
	return nil
}
