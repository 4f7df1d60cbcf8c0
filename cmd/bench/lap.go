package main

import (
	"context"
	"time"

	"chat-messaging/cmd/bench/arena"
	"chat-messaging/cmd/bench/process"
	"chat-messaging/cmd/bench/report"
)

// lap is one variant at work in one round.
type lap struct {
	bench  *bench
	ground *arena.Ground
	child  *process.Child
	ledger *arena.Ledger
	// metrics is where the contender tells its own figures, if it does.
	metrics string
	// partial says that the contender was stopped in the middle of the workload.
	partial bool
}

// measurement is what a lap is there for. It returns when the contender has
// done its work, and sets neither line nor round of the sample. The context ends
// when the contender does.
type measurement func(*lap, context.Context) (report.Sample, error)

// until asks again and again. Asking is work for the broker and for the
// processor, so the pause between is the caller's choice.
func (l *lap) until(ctx context.Context, every time.Duration, reached func() (bool, error)) error {
	for {
		if yes, err := reached(); yes || err != nil {
			return err
		}
		if err := pause(ctx, every); err != nil {
			return err
		}
	}
}

// consuming waits until the contender has begun to consume.
func (l *lap) consuming(ctx context.Context) error {
	return l.until(ctx, 10*time.Millisecond, func() (bool, error) {
		consumers, err := l.ground.Consumers()
		return consumers > 0, err
	})
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
