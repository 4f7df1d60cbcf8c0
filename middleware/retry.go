package middleware

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v5"
)

// RetryConfig configures Retry.
type RetryConfig struct {
	// ShouldRetry tells errors that trying again can mend. Required.
	ShouldRetry func(error) bool
	// AtOnce tells those of them that need no pause, for the first five tries: a
	// conflict with another transaction is over when that one is. Default none.
	AtOnce func(error) bool
	// OnRetry is called before each pause with the number of failed tries so
	// far and the time since the first. Default none.
	OnRetry func(err error, attempt int, elapsed, pause time.Duration)
	// InitialInterval is the first pause, MaxInterval the longest; in between
	// they double, and each is drawn from half to one and a half times its
	// length. Defaults 50 ms and 5 s.
	InitialInterval, MaxInterval time.Duration
}

// atOnceTries is how often a conflict is tried again without a real pause.
const atOnceTries = 5

// Retry runs the handler until it succeeds, fails with an error that trying
// again cannot mend, or the message's context ends. There is no last try: an
// outage is never the message's fault.
func Retry(cfg RetryConfig) message.HandlerMiddleware {
	if cfg.AtOnce == nil {
		cfg.AtOnce = func(error) bool { return false }
	}
	if cfg.OnRetry == nil {
		cfg.OnRetry = func(error, int, time.Duration, time.Duration) {}
	}
	if cfg.InitialInterval == 0 {
		cfg.InitialInterval = 50 * time.Millisecond
	}
	if cfg.MaxInterval == 0 {
		cfg.MaxInterval = 5 * time.Second
	}
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			produced, err := next(msg)
			if err == nil || !cfg.ShouldRetry(err) {
				return produced, err
			}
			return cfg.again(next, msg, err)
		}
	}
}

func (c *RetryConfig) again(next message.HandlerFunc, msg *message.Message, err error) ([]*message.Message, error) {
	ctx := msg.Context()
	started := time.Now()
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.Multiplier = c.InitialInterval, c.MaxInterval, 2
	pauses.Reset()
	for attempt := 1; ; attempt++ {
		pause := time.Millisecond
		if attempt > atOnceTries || !c.AtOnce(err) {
			pause = pauses.NextBackOff()
		}
		c.OnRetry(err, attempt, time.Since(started), pause)
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
		produced, nextErr := next(msg)
		if nextErr == nil || !c.ShouldRetry(nextErr) {
			return produced, nextErr
		}
		err = nextErr
	}
}

// sleep returns after d, or the reason why the context has ended.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
