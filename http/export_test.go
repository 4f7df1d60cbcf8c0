package http

import (
	"context"
	"time"

	"chat-messaging/queries"
)

// The fuzz tests reach in here because through a socket they would try a
// thousandth as much.

// Codec is a cursor codec with a key of its own.
type Codec struct{ codec *cursorCodec }

// NewCodec derives the codec of a key.
func NewCodec(key string) (Codec, error) {
	codec, err := newCursorCodec(Config{Key: key})
	return Codec{codec}, err
}

// Encode writes a cursor.
func (c Codec) Encode(owner, position int64, newer, ascending bool) string {
	at := cursor{list: cursorOfHistory, owner: owner, position: position, ascending: ascending}
	if newer {
		at.direction = queries.Newer
	}
	return c.codec.encode(at)
}

// Decode reads one.
func (c Codec) Decode(text string, owner int64) (position int64, newer, ascending bool, err error) {
	at, err := c.codec.decode(text, cursorOfHistory, owner)
	return at.position, at.direction == queries.Newer, at.ascending, err
}

// VerifyToken returns the token's user.
func VerifyToken(key string, now time.Time, token string) (int64, error) {
	v, err := newVerifier(Config{Algorithm: "HS256", Key: key, Now: func() time.Time { return now }})
	if err != nil {
		return 0, err
	}
	h, err := v.holder(context.Background(), token)
	return h.user, err
}

// AdminRoute is a line of the table of calls for operators.
type AdminRoute struct {
	Method, Path string
	Role         Role
}

// AdminRoutes is that table.
func AdminRoutes(s *Server) []AdminRoute {
	var table []AdminRoute
	for _, line := range s.adminRoutes() {
		table = append(table, AdminRoute{line.method, line.path, line.role})
	}
	return table
}

// Rates are the shares of users.
type Rates struct{ rates *rates }

// NewRates allows so many requests a second.
func NewRates(perSecond int) Rates { return Rates{newRates(perSecond)} }

// Allow takes one request of the user's share.
func (r Rates) Allow(user int64, now time.Time) bool { return r.rates.allow(user, now) }

// Known is how many users are remembered.
func (r Rates) Known() int {
	r.rates.mu.Lock()
	defer r.rates.mu.Unlock()
	return r.rates.limiters.Len()
}

// ConsoleRoutes is the table of the console's pages.
func ConsoleRoutes(s *Server) []AdminRoute {
	var table []AdminRoute
	for _, line := range s.consoleRoutes() {
		table = append(table, AdminRoute{line.method, line.path, line.role})
	}
	return table
}
