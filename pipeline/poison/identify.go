package poison

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
)

// identity is what a message says of itself, as far as it can be read.
type identity struct {
	chatID          string
	senderID        int64
	clientMessageID string
}

// maxIdentity bounds a text of it: longer ones are no ids.
const maxIdentity = 256

// identify reads the ids out of a body. It is for searching only and so takes what
// it gets: of a body that breaks off, or is no JSON from some place on, the fields
// before that place.
func identify(body []byte) identity {
	var id identity
	decoder := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\uFEFF"))))
	decoder.UseNumber()
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return id
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return id
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return id
		}
		switch name {
		case "chat_id":
			id.chatID = identityText(raw)
		case "client_message_id":
			id.clientMessageID = identityText(raw)
		case "sender_id":
			id.senderID = identityNumber(raw)
		}
	}
	return id
}

// identityText reads a text, or a number as it is written.
func identityText(raw json.RawMessage) string {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		var n json.Number
		if json.Unmarshal(raw, &n) != nil {
			return ""
		}
		s = n.String()
	}
	if len(s) > maxIdentity {
		return ""
	}
	return s
}

// identityNumber reads a positive integer, also as a text or with a fraction of
// zero.
func identityNumber(raw json.RawMessage) int64 {
	s := identityText(raw)
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || f != math.Trunc(f) || f >= 1<<53 {
			return 0
		}
		n = int64(f)
	}
	return max(n, 0)
}
