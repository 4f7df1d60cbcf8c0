package pipeline

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

// NewPauses returns the pauses between tries: they double from the first to the
// longest, and each is drawn from half to one and a half times its length.
func NewPauses(first, longest time.Duration) *backoff.ExponentialBackOff {
	p := backoff.NewExponentialBackOff()
	p.InitialInterval, p.MaxInterval, p.Multiplier = first, longest, 2
	p.Reset()
	return p
}
