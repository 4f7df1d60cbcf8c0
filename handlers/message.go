package handlers

import (
	"crypto/sha256"
	"encoding/binary"
)

// Message is a chat message as a client sent it. The texts are exactly the
// client's: nothing is trimmed or normalised, because clients find their message
// again by them.
type Message struct {
	ClientMessageID string
	ChatID          string
	SentAt          string
	Body            string
	SenderID        int64
	RecipientID     int64
	// Unread are the fields that hold their zero value because they were
	// missing, given twice or not readable as their type. Always empty for a
	// message that keeps the rules.
	Unread Fields
}

// Fields is a set of message fields.
type Fields uint8

// The fields of a message that mean something on the way in.
const (
	FieldClientMessageID Fields = 1 << iota
	FieldChatID
	FieldSenderID
	FieldRecipientID
	FieldSentAt
	FieldBody
)

// Has tells whether all of the fields are in the set.
func (f Fields) Has(fields Fields) bool { return f&fields == fields }

// ChatKey returns the key of the chat that the message names, or false if it is
// not written the one way in which we write it: two spellings of one chat would
// be two chats to every client.
func (m *Message) ChatKey() (int64, bool) {
	return parsePositive(m.ChatID)
}

// Fingerprint tells a repeat from another message under the same key. It covers
// what the sender chose, each text behind its length so that no two messages
// encode alike. It is stored, so its encoding must never change.
func (m *Message) Fingerprint() [16]byte {
	var onStack [1024]byte // enough for nearly all; a longer message allocates
	b := appendSized(onStack[:0], m.ChatID)
	b = binary.BigEndian.AppendUint64(b, uint64(m.RecipientID)) //nolint:gosec // two's complement, both ways
	b = appendSized(b, m.SentAt)
	b = appendSized(b, m.Body)
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16])
}

func appendSized(b []byte, text string) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(len(text)))
	return append(b, text...)
}
