package middleware

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v5"
)

// PoisonConfig configures Poison.
type PoisonConfig struct {
	// Permanent tells errors that no number of tries can mend. Required.
	// Everything else is returned as it is.
	Permanent func(error) bool
	// Park stores a copy of the message with the reason, and returns when it is
	// safe. Required.
	Park func(ctx context.Context, msg *message.Message, reason error) error
	// OnParkFailure is called for each failed Park with the pause before the
	// next. Default none.
	OnParkFailure func(err error, pause time.Duration)
	// MaxInterval is the longest pause between tries to park. Default 5 s.
	MaxInterval time.Duration
}

// Poison parks a message whose error is permanent and so settles it. The copy
// is safe before the message is acknowledged; a crash between the two leaves a
// second copy with the same id, never none. Where parking fails the message
// stays unacknowledged and is tried again: better a full window than a message
// that nobody finds.
func Poison(cfg PoisonConfig) (message.HandlerMiddleware, error) {
	if cfg.Permanent == nil || cfg.Park == nil {
		return nil, errors.New("invalid poison config: Permanent and Park are required")
	}
	if cfg.OnParkFailure == nil {
		cfg.OnParkFailure = func(error, time.Duration) {}
	}
	if cfg.MaxInterval == 0 {
		cfg.MaxInterval = 5 * time.Second
	}
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			produced, err := next(msg)
			if verdicts, ok := errors.AsType[Verdicts](err); ok {
				return nil, cfg.parkMembers(GroupFrom(msg.Context()), verdicts)
			}
			if err == nil || !cfg.Permanent(err) {
				return produced, err
			}
			return nil, cfg.park(msg, err)
		}
	}, nil
}

// parkMembers parks those members of a group that are to be parked, at the same
// time. If a verdict is none that parking could settle, all of them come again,
// and none is parked twice for it.
func (c *PoisonConfig) parkMembers(members []*message.Message, verdicts Verdicts) error {
	for _, err := range verdicts {
		if err != nil && !c.Permanent(err) {
			return verdicts
		}
	}
	failures := make([]error, len(verdicts))
	var parking sync.WaitGroup
	for i, err := range verdicts {
		if err != nil {
			parking.Go(func() { failures[i] = c.park(members[i], err) })
		}
	}
	parking.Wait()
	return errors.Join(failures...)
}

func (c *PoisonConfig) park(msg *message.Message, reason error) error {
	ctx := msg.Context()
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.Multiplier = 100*time.Millisecond, c.MaxInterval, 2
	pauses.Reset()
	for {
		err := c.Park(ctx, msg, reason)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("parking a message: %w", context.Cause(ctx))
		}
		pause := pauses.NextBackOff()
		c.OnParkFailure(err, pause)
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("parking a message: %w", err)
		}
	}
}
