package http

import (
	"sync"
	"time"

	"chat-messaging/queries/recent"
)

const (
	// cachedFor bounds how long a key that was withdrawn goes on being good.
	cachedFor       = time.Minute
	maxCachedTokens = 8192
	maxCachedToken  = 2048
)

// tokenCache remembers tokens that were found to be good, letter by letter, so
// that a client that asks often is not verified every time: that costs as much as
// the rest of the request. Only who has good tokens can fill it. It is safe for
// concurrent use.
type tokenCache struct {
	mu     sync.RWMutex
	tokens recent.Map[string, cachedToken]
}

type cachedToken struct {
	holder holder
	until  time.Time
}

func newTokenCache() *tokenCache {
	return &tokenCache{tokens: recent.Map[string, cachedToken]{Bound: maxCachedTokens}}
}

// find returns whose token it is, if it is still good.
func (c *tokenCache) find(token string, now time.Time) (holder, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	entry, _, ok := c.tokens.Find(token)
	return entry.holder, ok && now.Before(entry.until)
}

// keep remembers a token that is good until it expires.
func (c *tokenCache) keep(token string, h holder, now, expires time.Time) {
	if len(token) > maxCachedToken {
		return
	}
	until := now.Add(cachedFor)
	if expires.Before(until) {
		until = expires
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens.Keep(token, cachedToken{h, until})
}
