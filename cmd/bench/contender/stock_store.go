package contender

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// wireMessage is a message as the gateway sends it.
type wireMessage struct {
	ClientMessageID string `json:"client_message_id"`
	ChatID          string `json:"chat_id"`
	SenderID        int64  `json:"sender_id"`
	RecipientID     int64  `json:"recipient_id"`
	SentAt          string `json:"sent_at"`
	Body            string `json:"body"`
}

// wireEvent is the same completed, as dispatchers expect it.
type wireEvent struct {
	wireMessage

	ID           string  `json:"id"`
	Seq          int64   `json:"seq"`
	Status       string  `json:"status"`
	DeliveredAt  string  `json:"delivered_at"`
	IsEdited     bool    `json:"is_edited"`
	IsDeleted    bool    `json:"is_deleted"`
	RejectReason *string `json:"reject_reason"`
}

func (m wireMessage) validate() error {
	switch {
	case m.ClientMessageID == "" || len(m.ClientMessageID) > 128:
		return errors.New("the message's client_message_id is missing or too long")
	case m.Body == "":
		return errors.New("the message's body is empty")
	case m.SenderID <= 0 || m.RecipientID <= 0 || m.SenderID == m.RecipientID:
		return errors.New("the message's sender or recipient is wrong")
	}
	if _, err := time.Parse(time.RFC3339Nano, m.SentAt); err != nil {
		return fmt.Errorf("parsing the message's sent_at: %w", err)
	}
	return nil
}

const (
	membersStatement = `SELECT member_ids FROM chats WHERE id = $1`
	nextSeqStatement = `UPDATE chats SET last_seq = last_seq + 1 WHERE id = $1 RETURNING last_seq`
	insertStatement  = `
INSERT INTO messages (chat_id, seq, sender_id, recipient_id, delivered_at, fingerprint, client_message_id, sent_at, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT ON CONSTRAINT messages_idempotency_key DO NOTHING`
)

// store checks the membership and stores the message. It returns nil for one
// that is stored already.
func store(ctx context.Context, tx *sqlx.Tx, m wireMessage) (*wireEvent, error) {
	chat, err := strconv.ParseInt(m.ChatID, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("parsing the message's chat_id: %w", err)
	}
	var members pq.Int64Array
	if err := tx.GetContext(ctx, &members, membersStatement, chat); err != nil {
		return nil, fmt.Errorf("reading the members of a chat: %w", err)
	}
	if !slices.Contains(members, m.SenderID) || !slices.Contains(members, m.RecipientID) {
		return nil, errors.New("the message's sender or recipient is no member of its chat")
	}
	var seq int64
	if err := tx.GetContext(ctx, &seq, nextSeqStatement, chat); err != nil {
		return nil, fmt.Errorf("drawing a position in a chat: %w", err)
	}
	at := time.Now().UTC().Truncate(time.Microsecond)
	fingerprint := sha256.Sum256([]byte(m.ChatID + m.SentAt + m.Body))
	result, err := tx.ExecContext(ctx, insertStatement, chat, seq, m.SenderID, m.RecipientID, at,
		fingerprint[:16], m.ClientMessageID, m.SentAt, m.Body)
	if err != nil {
		return nil, fmt.Errorf("storing a message: %w", err)
	}
	if stored, err := result.RowsAffected(); err != nil || stored == 0 {
		return nil, err //nolint:wrapcheck // lib/pq knows the count and never fails here
	}
	return &wireEvent{
		wireMessage: m, ID: m.ChatID + "-" + strconv.FormatInt(seq, 10), Seq: seq, Status: "delivered",
		DeliveredAt: at.Format("2006-01-02T15:04:05.000000Z"),
	}, nil
}
