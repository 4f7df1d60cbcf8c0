package http

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"chat-messaging/queries"
)

// timestampLayout is how the wire writes a time, always in UTC.
const timestampLayout = "2006-01-02T15:04:05.000000Z"

// appendMessage writes a message with the fields of the event that was
// dispatched when it was stored. Reflection would cost several times as much as
// reading the row did.
func appendMessage(dst []byte, m *queries.Message) []byte {
	dst = append(dst, `{"id":"`...)
	dst = strconv.AppendInt(dst, m.ChatID, 10)
	dst = append(dst, '-')
	dst = strconv.AppendInt(dst, m.Seq, 10)
	dst = append(dst, `","client_message_id":`...)
	dst = appendText(dst, m.ClientMessageID)
	dst = append(dst, `,"chat_id":"`...)
	dst = strconv.AppendInt(dst, m.ChatID, 10)
	dst = append(dst, `","sender_id":`...)
	dst = strconv.AppendInt(dst, m.SenderID, 10)
	dst = append(dst, `,"recipient_id":`...)
	dst = strconv.AppendInt(dst, m.RecipientID, 10)
	dst = append(dst, `,"sent_at":`...)
	dst = appendText(dst, m.SentAt)
	dst = append(dst, `,"body":`...)
	dst = appendText(dst, m.Body)
	dst = append(dst, `,"status":"delivered","delivered_at":"`...)
	dst = m.DeliveredAt.AppendFormat(dst, timestampLayout)
	dst = append(dst, `","is_edited":`...)
	dst = strconv.AppendBool(dst, m.IsEdited)
	dst = append(dst, `,"is_deleted":`...)
	dst = strconv.AppendBool(dst, m.IsDeleted)
	dst = append(dst, `,"reject_reason":null,"reject_code":null,"seq":`...)
	dst = strconv.AppendInt(dst, m.Seq, 10)
	return append(dst, '}')
}

// appendText writes a JSON string. Postgres holds no invalid UTF-8, which would
// be the only error.
func appendText(dst []byte, text string) []byte {
	dst, _ = jsontext.AppendQuote(dst, text)
	return dst
}

// appendChat writes a chat with exactly the members that make it equal wherever
// it appears: the frontend compares whole objects.
func appendChat(dst []byte, c *queries.UserChat) []byte {
	dst = append(dst, `{"id":"`...)
	dst = strconv.AppendInt(dst, c.ID, 10)
	dst = append(dst, `","related_users":`...)
	dst = append(dst, c.RelatedUsers...)
	return append(dst, '}')
}

// appendFullChat adds what changes with every message.
func appendFullChat(dst []byte, c *queries.UserChat) []byte {
	dst = appendChat(dst, c)
	dst = append(dst[:len(dst)-1], `,"last_seq":`...)
	dst = strconv.AppendInt(dst, c.LastSeq, 10)
	dst = append(dst, `,"last_message":`...)
	if c.LastMessage == nil {
		dst = append(dst, `null`...)
	} else {
		dst = appendMessage(dst, c.LastMessage)
	}
	return append(dst, '}')
}
