package handlers

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// The positions of the fields in object.raw; the bit of position n in a Fields
// is 1<<n.
const (
	clientMessageID = iota
	chatID
	senderID
	recipientID
	sentAt
	body
	numFields
)

// object is what a walk finds: the JSON values of a message's fields, not yet
// judged.
type object struct {
	// raw values point into the document; nil where the field is missing.
	raw [numFields][]byte
	// twice are the fields that are given more than once.
	twice Fields
	// isEvent says that it has the status of one of our own events.
	isEvent bool
}

// walker goes once through a JSON document. It is for one goroutine, and reused
// because setting up the decoder costs as much as decoding a message.
type walker struct {
	json     jsontext.Decoder
	source   bytes.Buffer
	document []byte
	options  []jsontext.Options
	scratch  []byte
	maxDepth int
}

func newWalker(maxDepth int) *walker {
	return &walker{
		maxDepth: maxDepth,
		options: []jsontext.Options{
			// Duplicates are told apart below: only those of our fields matter.
			jsontext.AllowDuplicateNames(true),
			// The bytes are known to be UTF-8; what this lets pass is escapes of half a
			// surrogate pair, which spoil the text they are in and not the message.
			jsontext.AllowInvalidUTF8(true),
		},
	}
}

// walk collects the fields of the document, which must be valid UTF-8. The
// whole document is read, so that a well-formed beginning does not make up for a
// broken end.
func (w *walker) walk(document []byte) (object, *Failure) {
	w.document = document
	w.source = *bytes.NewBuffer(document) // the decoder reads a Buffer in place, without copying
	w.json.Reset(&w.source, w.options...)

	var o object
	isObject := w.json.PeekKind() == jsontext.KindBeginObject
	var failure *Failure
	if isObject {
		failure = w.members(&o)
	} else {
		_, failure = w.value()
	}
	if failure != nil {
		return object{}, failure
	}
	if _, err := w.json.ReadToken(); !errors.Is(err, io.EOF) {
		return object{}, invalid(FailMalformedJSON, "something follows the JSON value")
	}
	if !isObject {
		return object{}, invalid(FailNotAnObject, "the JSON value is not an object")
	}
	return o, nil
}

// members reads the top-level object.
func (w *walker) members(o *object) *Failure {
	if _, err := w.json.ReadToken(); err != nil {
		return malformed(err)
	}
	for w.json.PeekKind() != jsontext.KindEndObject {
		name, err := w.json.ReadValue()
		if err != nil {
			return malformed(err)
		}
		field, status := w.field(name)
		value, failure := w.value()
		if failure != nil {
			return failure
		}
		switch {
		case status:
			o.isEvent = o.isEvent || w.isOutcome(value)
		case field == numFields:
		case o.raw[field] != nil:
			o.twice |= 1 << field
		default:
			o.raw[field] = value
		}
	}
	if _, err := w.json.ReadToken(); err != nil {
		return malformed(err)
	}
	return nil
}

// value reads the next value and returns its bytes. Nested values are walked
// token by token and given up at the depth limit, however deep they go.
func (w *walker) value() ([]byte, *Failure) {
	kind := w.json.PeekKind()
	if kind != jsontext.KindBeginObject && kind != jsontext.KindBeginArray {
		value, err := w.json.ReadValue()
		if err != nil {
			return nil, malformed(err)
		}
		end := int(w.json.InputOffset())
		return w.document[end-len(value) : end], nil
	}
	outside := w.json.StackDepth()
	start := -1
	for {
		if _, err := w.json.ReadToken(); err != nil {
			return nil, malformed(err)
		}
		if start < 0 {
			start = int(w.json.InputOffset()) - 1
		}
		switch depth := w.json.StackDepth(); {
		case depth > w.maxDepth:
			return nil, invalid(FailTooDeep, "nested deeper than "+strconv.Itoa(w.maxDepth))
		case depth == outside:
			return w.document[start:w.json.InputOffset()], nil
		}
	}
}

// field finds the field of a member name. Names count exactly: letters of other
// case or that only fold to ours name something else, but an escaped letter is
// the letter.
func (w *walker) field(name []byte) (field int, status bool) {
	text, _ := w.unquote(name)
	switch string(text) {
	case "client_message_id":
		return clientMessageID, false
	case "chat_id":
		return chatID, false
	case "sender_id":
		return senderID, false
	case "recipient_id":
		return recipientID, false
	case "sent_at":
		return sentAt, false
	case "body":
		return body, false
	case "status":
		return numFields, true
	default:
		return numFields, false
	}
}

// isOutcome recognizes the status of our own events.
func (w *walker) isOutcome(value []byte) bool {
	if !isString(value) {
		return false
	}
	status, _ := w.unquote(value)
	return string(status) == statusDelivered || string(status) == statusRejected
}

// unquote returns the text of a JSON string, valid until the next call, and
// whether it is sound: half a surrogate pair is no text, and the database cannot
// hold U+0000.
func (w *walker) unquote(quoted []byte) (text []byte, sound bool) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], true
	}
	var err error
	w.scratch, err = jsontext.AppendUnquote(w.scratch[:0], quoted)
	return w.scratch, err == nil && bytes.IndexByte(w.scratch, 0) < 0
}

func isString(value []byte) bool { return len(value) > 0 && value[0] == '"' }

// malformed says where the JSON breaks off and nothing of what is there: the
// decoder's own text would quote the payload.
func malformed(err error) *Failure {
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.EOF):
		return invalid(FailEmpty, "the payload holds nothing")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return invalid(FailMalformedJSON, "the JSON is cut off")
	case errors.As(err, &syntax):
		return invalid(FailMalformedJSON, "not JSON at byte "+strconv.FormatInt(syntax.ByteOffset, 10))
	default:
		return invalid(FailMalformedJSON, "not JSON")
	}
}
