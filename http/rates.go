package http

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"chat-messaging/queries/recent"
)

// maxRates bounds a generation of users whose rate is known.
const maxRates = 32768

// rates bounds how many requests each user makes, so that one client in a loop
// does not take everybody's share. It is safe for concurrent use.
type rates struct {
	limit rate.Limit
	burst int

	mu sync.RWMutex
	// Who does not ask for long is forgotten. Being forgotten is being full again,
	// which after a burst's pause one is anyway.
	limiters recent.Map[int64, *rate.Limiter]
}

// newRates allows so many requests a second, and twice that at once after a
// pause. nil, which allows everything, if perSecond is 0.
func newRates(perSecond int) *rates {
	if perSecond <= 0 {
		return nil
	}
	return &rates{
		limit: rate.Limit(perSecond), burst: 2 * perSecond,
		limiters: recent.Map[int64, *rate.Limiter]{Bound: maxRates},
	}
}

// allow takes one request of the user's share, if there is one left.
func (r *rates) allow(user int64, now time.Time) bool {
	if r == nil {
		return true
	}
	r.mu.RLock()
	limiter, stale, ok := r.limiters.Find(user)
	r.mu.RUnlock()
	if !ok || stale {
		limiter = r.enter(user)
	}
	return limiter.AllowN(now, 1)
}

// enter keeps the user from being forgotten, with what is left of the share.
func (r *rates) enter(user int64) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	limiter, _, ok := r.limiters.Find(user) // somebody may have been faster
	if !ok {
		limiter = rate.NewLimiter(r.limit, r.burst)
	}
	r.limiters.Keep(user, limiter)
	return limiter
}
