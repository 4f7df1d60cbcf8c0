package http

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"chat-messaging/queries"
)

// cursorCodec writes and reads cursors. A cursor is a position in one walk
// through one list, and is authenticated together with the list it belongs to:
// one of another list, another version, or of a client's own making is refused.
// It is not what protects a list: whether the caller may read it is decided on
// every request, and a position as such can also be asked for in the open. So it
// does no harm that with asymmetric tokens there is no secret to derive the key
// from, and only mistakes are found out, not forgeries.
type cursorCodec struct {
	key []byte
}

// cursor is what a cursor stands for.
type cursor struct {
	// list tells the kinds of list apart, and owner the lists of a kind.
	list  cursorList
	owner int64
	// direction and ascending are those of the walk.
	direction queries.Direction
	ascending bool
	// position is the last one that the walk has seen.
	position int64
}

type cursorList byte

const (
	cursorOfHistory cursorList = 1
	cursorOfChats   cursorList = 2
)

const (
	cursorVersion = 1
	cursorBody    = 2 + 8
	cursorMAC     = 16
)

var errForeignCursor = errors.New("not a cursor of this list")

func newCursorCodec(c Config) (*cursorCodec, error) {
	source := c.Key
	if c.JWKSURL != "" {
		source = c.JWKSURL
	}
	key, err := hkdf.Key(sha256.New, []byte(source), nil, "chat-messaging cursor", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("deriving the cursor key: %w", err)
	}
	return &cursorCodec{key}, nil
}

func (c *cursorCodec) encode(at cursor) string {
	b := make([]byte, cursorBody, cursorBody+cursorMAC)
	b[0] = cursorVersion
	b[1] = byte(at.direction) << 1
	if at.ascending {
		b[1] |= 1
	}
	binary.BigEndian.PutUint64(b[2:], uint64(at.position)) //nolint:gosec // positions are not negative
	return base64.RawURLEncoding.EncodeToString(append(b, c.mac(b, at.list, at.owner)...))
}

// decode reads a cursor of the owner's list.
func (c *cursorCodec) decode(text string, list cursorList, owner int64) (cursor, error) {
	if len(text) != base64.RawURLEncoding.EncodedLen(cursorBody+cursorMAC) {
		return cursor{}, errForeignCursor
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != cursorBody+cursorMAC || b[0] != cursorVersion {
		return cursor{}, errForeignCursor
	}
	if subtle.ConstantTimeCompare(b[cursorBody:], c.mac(b[:cursorBody], list, owner)) != 1 {
		return cursor{}, errForeignCursor
	}
	at := cursor{
		list: list, owner: owner,
		direction: queries.Direction(b[1] >> 1), ascending: b[1]&1 == 1,
		position: int64(binary.BigEndian.Uint64(b[2:cursorBody])), //nolint:gosec // checked below
	}
	if at.position < 0 || at.direction > queries.Newer {
		return cursor{}, errForeignCursor
	}
	return at, nil
}

func (c *cursorCodec) mac(body []byte, list cursorList, owner int64) []byte {
	h := hmac.New(sha256.New, c.key)
	h.Write([]byte{byte(list)})
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(owner))) //nolint:gosec // ids are positive
	h.Write(body)
	return h.Sum(nil)[:cursorMAC]
}
