package handlers

import (
	"crypto/sha1" //nolint:gosec // a UUID of version 5 is made with it; nothing secret hangs on it
	"strconv"

	"github.com/google/uuid"
)

// eventNamespace keeps our event ids apart from all other UUIDs. A change would
// make every event that is on its way a new one to its consumers.
var eventNamespace = uuid.UUID{0x5e, 0xdb, 0xf0, 0xa9, 0x49, 0xe1, 0x42, 0xdf, 0xbb, 0xc4, 0x72, 0x57, 0xc9, 0x21, 0x0c, 0x13}

// eventID derives a UUID from the outcome and what it is about. Each text stands
// behind its length, so different parts never make the same name.
//
// It is uuid.NewSHA1 on the stack: the library's allocations would be a third of
// those of a whole event.
func eventID(status string, sender int64, parts ...string) string {
	var onStack [512]byte
	name := append(onStack[:0], eventNamespace[:]...)
	name = appendSized(name, status)
	name = strconv.AppendInt(name, sender, 10)
	for _, part := range parts {
		name = appendSized(name, part)
	}
	sum := sha1.Sum(name) //nolint:gosec // see the import
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 5<<4 // version 5
	id[8] = id[8]&0x3f | 0x80 // RFC 9562 variant
	return id.String()
}
