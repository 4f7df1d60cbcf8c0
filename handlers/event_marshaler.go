package handlers

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/go-json-experiment/json"
)

// The metadata of an event's message.
const (
	// MetadataType is the event's name.
	MetadataType = "type"
	// MetadataTimestamp is the time of the decision, as in the event's
	// delivered_at; time.RFC3339Nano parses it.
	MetadataTimestamp = "timestamp"
	// MetadataChatID is the chat's key in decimal; absent from the event of a
	// message that names no chat.
	MetadataChatID = "chat_id"
	// MetadataUserID is who the event is for where routing is by user: the
	// recipient of a delivered message, the sender of a rejected one.
	MetadataUserID = "user_id"
)

// EventMarshaler translates between events and Watermill messages, whose payload
// is the contract's JSON and whose UUID is the event's id. The zero value is
// ready, and safe for concurrent use.
type EventMarshaler struct{}

var _ cqrs.CommandEventMarshaler = EventMarshaler{}

var errNotAnEvent = errors.New("not an event of ours")

// Marshal takes a MessageDelivered or a MessageRejected, or a pointer to one.
func (EventMarshaler) Marshal(event any) (*message.Message, error) {
	switch e := event.(type) {
	case MessageDelivered:
		return marshalDelivered(&e)
	case MessageRejected:
		return marshalRejected(&e)
	case *MessageDelivered:
		if e != nil {
			return marshalDelivered(e)
		}
	case *MessageRejected:
		if e != nil {
			return marshalRejected(e)
		}
	}
	return nil, fmt.Errorf("marshaling %T: %w", event, errNotAnEvent)
}

func marshalDelivered(d *MessageDelivered) (*message.Message, error) {
	e := d.json()
	payload, err := e.payload()
	if err != nil {
		return nil, fmt.Errorf("marshaling a delivered message: %w", err)
	}
	return outgoing(d.EventID(), payload, message.Metadata{
		MetadataType:      NameMessageDelivered,
		MetadataTimestamp: e.DeliveredAt,
		MetadataChatID:    e.ChatID.text,
		MetadataUserID:    strconv.FormatInt(d.RecipientID, 10),
	}), nil
}

// outgoing makes a message that is only ever published. It lacks the channels of
// message.NewMessage, which only a consumer's messages need: for an event of
// every message they would be a good part of the handlers' garbage.
func outgoing(id string, payload []byte, metadata message.Metadata) *message.Message {
	return &message.Message{UUID: id, Metadata: metadata, Payload: payload}
}

func marshalRejected(r *MessageRejected) (*message.Message, error) {
	if r.id == "" {
		return nil, fmt.Errorf("marshaling a rejected message without an event id: %w", errNotAnEvent)
	}
	e := r.json()
	payload, err := e.payload()
	if err != nil {
		return nil, fmt.Errorf("marshaling a rejected message: %w", err)
	}
	msg := outgoing(r.id, payload, message.Metadata{
		MetadataType:      NameMessageRejected,
		MetadataTimestamp: e.DeliveredAt,
		MetadataUserID:    strconv.FormatInt(r.SenderID, 10),
	})
	if _, ok := r.ChatKey(); ok {
		msg.Metadata[MetadataChatID] = r.ChatID
	}
	return msg, nil
}

// Unmarshal reads into a *MessageDelivered or a *MessageRejected what Marshal
// wrote. It does not touch the event if it returns an error.
func (EventMarshaler) Unmarshal(msg *message.Message, event any) error {
	var err error
	switch e := event.(type) {
	case *MessageDelivered:
		err = e.unmarshal(msg)
	case *MessageRejected:
		err = e.unmarshal(msg)
	default:
		err = errNotAnEvent
	}
	if err != nil {
		return fmt.Errorf("unmarshaling %T: %w", event, err)
	}
	return nil
}

// Name of an event on the wire; that of a type which is no event of ours is its
// Go name, which no message of ours has.
func (EventMarshaler) Name(event any) string {
	switch event.(type) {
	case MessageDelivered, *MessageDelivered:
		return NameMessageDelivered
	case MessageRejected, *MessageRejected:
		return NameMessageRejected
	default:
		return cqrs.FullyQualifiedStructName(event)
	}
}

// NameFromMessage is the name of the event in the message; "" if it is none of
// ours. A message that lost its metadata on the way is recognized by its status.
func (EventMarshaler) NameFromMessage(msg *message.Message) string {
	switch name := msg.Metadata.Get(MetadataType); name {
	case "":
	case "message." + NameMessageDelivered: // as it was once; the event has waited since
		return NameMessageDelivered
	case "message." + NameMessageRejected:
		return NameMessageRejected
	default:
		return name
	}
	var e struct {
		Status string `json:"status"`
	}
	if err := json.Unmarshal(msg.Payload, &e); err != nil {
		return ""
	}
	switch e.Status {
	case statusDelivered:
		return NameMessageDelivered
	case statusRejected:
		return NameMessageRejected
	default:
		return ""
	}
}
