package handlers

import (
	"crypto/sha1" //nolint:gosec // an id is made with it; nothing secret hangs on it
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/google/uuid"
)

// eventNamespace keeps our event ids apart from all other hashes. A change would
// make every event that is on its way a new one to its consumers.
var eventNamespace = uuid.UUID{0x5e, 0xdb, 0xf0, 0xa9, 0x49, 0xe1, 0x42, 0xdf, 0xbb, 0xc4, 0x72, 0x57, 0xc9, 0x21, 0x0c, 0x13}

// eventIDBytes is how long an event's id is: enough that no two are ever the same,
// and no more, so that the properties of an event fit into 64 octets. Up to that
// size RabbitMQ copies them from process to process; what is longer it shares, and
// keeps account of, which on a classic queue costs it a fifth of its rate.
const eventIDBytes = 14

// eventIDs is how an id is written: 19 letters, digits, hyphens and underscores.
var eventIDs = base64.RawURLEncoding.Strict()

// eventID derives an event's id from the outcome and what it is about. Each text
// stands behind its length, so different parts never make the same name.
//
// It is hashed on the stack: allocations would be a third of those of a whole event.
func eventID(status string, sender int64, parts ...string) string {
	var onStack [512]byte
	name := append(onStack[:0], eventNamespace[:]...)
	name = appendSized(name, status)
	name = strconv.AppendInt(name, sender, 10)
	for _, part := range parts {
		name = appendSized(name, part)
	}
	sum := sha1.Sum(name) //nolint:gosec // see the import
	return eventIDs.EncodeToString(sum[:eventIDBytes])
}

// EventKey is how the outbox keeps an event's id: its octets, and zeros up to the
// size of a UUID. A UUID is its own key.
func EventKey(id string) (key uuid.UUID, err error) {
	if len(id) == eventIDs.EncodedLen(eventIDBytes) {
		_, err = eventIDs.Decode(key[:eventIDBytes], []byte(id))
	} else {
		key, err = uuid.Parse(id)
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("reading the event id %.40q: %w", id, err)
	}
	return key, nil
}

// EventIDOf is the id of which EventKey has made the key.
func EventIDOf(key uuid.UUID) string {
	if key[14] != 0 || key[15] != 0 {
		return key.String()
	}
	return eventIDs.EncodeToString(key[:eventIDBytes])
}
