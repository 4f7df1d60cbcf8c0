package http

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxRates bounds a generation of users whose rate is known.
const maxRates = 32768

// rates bounds how many requests each user makes, so that one client in a loop
// does not take everybody's share. It is safe for concurrent use.
type rates struct {
	limit rate.Limit
	burst int

	mu sync.RWMutex
	// Two generations bound it, as in tokenCache: when the young one is full it
	// becomes the old one, and who did not ask meanwhile is forgotten. Being
	// forgotten is being full again, which after a burst's pause one is anyway.
	young, old map[int64]*rate.Limiter
}

// newRates allows so many requests a second, and twice that at once after a
// pause. nil, which allows everything, if perSecond is 0.
func newRates(perSecond int) *rates {
	if perSecond <= 0 {
		return nil
	}
	return &rates{limit: rate.Limit(perSecond), burst: 2 * perSecond, young: map[int64]*rate.Limiter{}}
}

// allow takes one request of the user's share, if there is one left.
func (r *rates) allow(user int64, now time.Time) bool {
	if r == nil {
		return true
	}
	r.mu.RLock()
	limiter := r.young[user]
	r.mu.RUnlock()
	if limiter == nil {
		limiter = r.enter(user)
	}
	return limiter.AllowN(now, 1)
}

// enter puts the user into the young generation, with what is left of the share.
func (r *rates) enter(user int64) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if limiter := r.young[user]; limiter != nil {
		return limiter // somebody was faster
	}
	if len(r.young) >= maxRates {
		r.young, r.old = map[int64]*rate.Limiter{}, r.young
	}
	limiter := r.old[user]
	if limiter == nil {
		limiter = rate.NewLimiter(r.limit, r.burst)
	}
	r.young[user] = limiter
	return limiter
}
