package handlers

import (
	"bytes"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Limits are what a message must keep to. The zero value means the defaults.
type Limits struct {
	// MaxBodyBytes of the text, in UTF-8. Default 16 KiB, also if not positive.
	MaxBodyBytes int
	// MaxPayloadBytes of a delivery; a larger one is not decoded at all. Default
	// 256 KiB, also if not positive.
	MaxPayloadBytes int
	// MaxDepth of objects and arrays, the message itself being the first. Default
	// 32, also if not positive. The JSON library ends at 10,000.
	MaxDepth int
	// MaxClientMessageID in characters. Default 128, also if not positive. More
	// than 600 do not fit the index that makes it unique.
	MaxClientMessageID int
}

func (l Limits) withDefaults() Limits {
	for _, limit := range []struct {
		value   *int
		ifUnset int
	}{
		{&l.MaxBodyBytes, 16 << 10},
		{&l.MaxPayloadBytes, 256 << 10},
		{&l.MaxDepth, 32},
		{&l.MaxClientMessageID, 128},
	} {
		if *limit.value <= 0 {
			*limit.value = limit.ifUnset
		}
	}
	return l
}

// Decoder turns payloads into messages. It is safe for concurrent use.
type Decoder struct {
	limits  Limits
	walkers sync.Pool
}

// NewDecoder returns a decoder with these limits.
func NewDecoder(limits Limits) *Decoder {
	d := &Decoder{limits: limits.withDefaults()}
	d.walkers.New = func() any { return newWalker(d.limits.MaxDepth) }
	return d
}

// Decode reads a message and holds it against the rules. At most one of the
// rejection and the failure is set, and the first problem in this order names it:
//
//	nobody can be answered (failure)
//	  too_large, encoding, empty, malformed_json and too_deep (whichever comes first
//	  in the text), not_an_object, duplicate_key of sender_id, loop, no_sender, bad_sender
//	the sender is told (rejection)
//	  duplicate_key of another field, then field by field client_message_id, chat_id,
//	  recipient_id (and that it is not the sender), sent_at, body
//
// A rejected message holds what could be read, so that its sender recognizes it.
// The rejection is one of the Reject variables and not to be changed.
func (d *Decoder) Decode(payload []byte, contentEncoding string) (Message, *Rejection, *Failure) {
	document, failure := d.document(payload, contentEncoding)
	if failure != nil {
		return Message{}, nil, failure
	}
	w := d.walkers.Get().(*walker)
	defer d.walkers.Put(w)

	o, failure := w.walk(document)
	if failure != nil {
		return Message{}, nil, failure
	}
	sender, failure := w.sender(&o)
	if failure != nil {
		return Message{}, nil, failure
	}
	m := Message{SenderID: sender}
	rejection := d.read(w, &o, &m)
	return m, rejection, nil
}

// document checks the bytes and returns the JSON text in them.
func (d *Decoder) document(payload []byte, contentEncoding string) ([]byte, *Failure) {
	if len(payload) > d.limits.MaxPayloadBytes {
		return nil, invalid(FailTooLarge, strconv.Itoa(len(payload))+" bytes")
	}
	if !isPlainText(contentEncoding) {
		return nil, invalid(FailEncoding, "a content encoding other than utf-8")
	}
	document := bytes.TrimPrefix(payload, []byte("\uFEFF")) // some languages write it
	switch {
	case len(document) == 0:
		return nil, invalid(FailEmpty, "the payload holds nothing")
	case len(document) > 1 && (document[0] == 0 || document[1] == 0):
		return nil, invalid(FailEncoding, "UTF-16 or UTF-32") // ASCII in it is valid UTF-8 too
	case !utf8.Valid(document):
		return nil, invalid(FailEncoding, "not valid UTF-8")
	}
	return document, nil
}

// isPlainText refuses compressed content: expanding it could take any amount of
// memory, and nobody here sends it.
func isPlainText(contentEncoding string) bool {
	switch strings.ToLower(contentEncoding) {
	case "", "utf-8", "utf8", "identity":
		return true
	default:
		return false
	}
}

// sender reads the one field without which there is nobody to answer.
func (w *walker) sender(o *object) (int64, *Failure) {
	raw := o.raw[senderID]
	switch {
	case o.twice.Has(FieldSenderID):
		return 0, invalid(FailDuplicateKey, "sender_id is given twice")
	case o.isEvent:
		return 0, invalid(FailLoop, "this is an event, not a message")
	case raw == nil || raw[0] == 'n':
		return 0, invalid(FailNoSender, "sender_id is missing")
	}
	sender, ok := w.integer(raw)
	if !ok {
		return 0, invalid(FailBadSender, "sender_id is not a positive 64-bit integer")
	}
	return sender, nil
}

// reading is how a text field could be read.
type reading uint8

const (
	readable reading = iota
	unsound          // a string, but no text that can be stored
	noText           // missing, given twice or not a string
)

// read fills the message and returns its first problem. Every field is read
// before any is judged, because a rejection echoes them all.
func (d *Decoder) read(w *walker, o *object, m *Message) *Rejection {
	var texts [numFields]reading
	for _, f := range [...]struct {
		field int
		text  *string
	}{
		{clientMessageID, &m.ClientMessageID},
		{chatID, &m.ChatID},
		{sentAt, &m.SentAt},
		{body, &m.Body},
	} {
		*f.text, texts[f.field] = w.text(o, f.field)
		if texts[f.field] != readable {
			m.Unread |= 1 << f.field
		}
	}
	recipient, ok := w.integer(o.raw[recipientID])
	if !ok || o.twice.Has(FieldRecipientID) {
		recipient = 0
		m.Unread |= FieldRecipientID
	}
	m.RecipientID = recipient

	if o.twice != 0 {
		return &RejectDuplicateKey
	}
	return d.judge(m, &texts)
}

// judge holds what was read against the rules, in the documented order.
func (d *Decoder) judge(m *Message, texts *[numFields]reading) *Rejection {
	_, namesChat := m.ChatKey()
	switch {
	case texts[clientMessageID] != readable, !d.isClientMessageID(m.ClientMessageID):
		return &RejectInvalidMessage
	case texts[chatID] == unsound:
		return &RejectInvalidMessage
	case !namesChat: // whatever else it holds, it is not the id of a chat
		return &RejectUnknownChat
	case m.Unread.Has(FieldRecipientID):
		return &RejectInvalidMessage
	case m.RecipientID == m.SenderID:
		return &RejectNotRelated
	case texts[sentAt] == unsound:
		return &RejectInvalidMessage
	case !validTimestamp(m.SentAt):
		return &RejectInvalidSentAt
	case texts[body] != readable, strings.TrimSpace(m.Body) == "":
		return &RejectInvalidBody
	case len(m.Body) > d.limits.MaxBodyBytes:
		return &RejectBodyTooLong
	default:
		return nil
	}
}

func (d *Decoder) isClientMessageID(id string) bool {
	if len(id) <= d.limits.MaxClientMessageID { // bytes, so characters too
		return id != ""
	}
	return utf8.RuneCountInString(id) <= d.limits.MaxClientMessageID
}

// text reads a field that is a JSON string.
func (w *walker) text(o *object, field int) (string, reading) {
	if !isString(o.raw[field]) || o.twice.Has(1<<field) {
		return "", noText
	}
	text, sound := w.unquote(o.raw[field])
	if !sound {
		return "", unsound
	}
	return string(text), readable
}

// integer reads a positive integer: a JSON number, or the digits in a string.
func (w *walker) integer(raw []byte) (int64, bool) {
	switch {
	case isString(raw):
		text, sound := w.unquote(raw)
		n, ok := parsePositive(text)
		return n, ok && sound
	case len(raw) > 0 && (raw[0] == '-' || raw[0]-'0' <= 9):
		return parsePositiveNumber(raw)
	default:
		return 0, false
	}
}
