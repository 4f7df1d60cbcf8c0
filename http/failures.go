package http

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"chat-messaging/queries/recent"
)

const (
	// failureEvery and failureBurst: ten wrong secrets at once, then one every ten
	// seconds.
	failureEvery = 10 * time.Second
	failureBurst = 10
	maxFailing   = 4096
)

// failures slows down who guesses secrets, address by address, so that one
// attacker does not keep the operators out. It is safe for concurrent use.
type failures struct {
	now      func() time.Time
	mu       sync.Mutex
	limiters recent.Map[string, *rate.Limiter]
}

func newFailures(now func() time.Time) *failures {
	return &failures{now: now, limiters: recent.Map[string, *rate.Limiter]{Bound: maxFailing}}
}

// wait is how long the address must wait before it may try again; 0: not at all.
func (f *failures) wait(address string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	limiter, _, ok := f.limiters.Find(address)
	if !ok {
		return 0
	}
	missing := 1 - limiter.TokensAt(f.now())
	return max(0, time.Duration(missing*float64(failureEvery)))
}

// add counts one wrong secret.
func (f *failures) add(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	limiter, _, ok := f.limiters.Find(address)
	if !ok {
		limiter = rate.NewLimiter(rate.Every(failureEvery), failureBurst)
	}
	limiter.AllowN(f.now(), 1)
	f.limiters.Keep(address, limiter)
}

// addressOf is where the connection comes from. What headers say of it could be
// the guesser's own invention. A household has a whole network of IPv6
// addresses, so of those only the network counts.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Unmap().Is4() {
		return host
	}
	network, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return host
	}
	return network.String()
}
