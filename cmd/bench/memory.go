package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chat-messaging/cmd/bench/report"
)

const (
	// settled is how long a process is left alone before its memory is read, and
	// reading how long it is read for.
	settled = 2 * time.Second
	reading = 2 * time.Second
)

// rest reads the memory of a contender that has nothing to do.
func (l *lap) rest(ctx context.Context) (report.Sample, error) {
	if err := l.consuming(ctx); err != nil {
		return report.Sample{}, err
	}
	if err := pause(ctx, settled); err != nil {
		return report.Sample{}, err
	}
	most, err := l.mostRSS(ctx)
	return report.Sample{PeakRSS: most}, err
}

// hold reads the memory of a contender that has a full window in hand and gets
// nowhere with it, and then lets it finish.
func (l *lap) hold(ctx context.Context) (_ report.Sample, err error) {
	if err := l.consuming(ctx); err != nil {
		return report.Sample{}, err
	}
	release, err := l.ground.Hold(ctx)
	if err != nil {
		return report.Sample{}, err
	}
	released := false
	defer func() {
		if !released {
			err = errors.Join(err, release())
		}
	}()
	if err := l.ground.Fill(ctx); err != nil {
		return report.Sample{}, err
	}
	if err := l.until(ctx, 5*time.Millisecond, func() (bool, error) {
		waiting, err := l.ground.Waiting()
		return waiting == 0, err
	}); err != nil {
		return report.Sample{}, fmt.Errorf("waiting for the window to fill: %w", err)
	}
	most, err := l.mostRSS(ctx)
	if err != nil {
		return report.Sample{}, err
	}
	released = true
	if err := release(); err != nil {
		return report.Sample{}, err
	}
	return report.Sample{PeakRSS: most}, l.untilSent(ctx, time.Now(), l.ledger.Events())
}

// mostRSS looks at the memory of the contender for a while.
func (l *lap) mostRSS(ctx context.Context) (most int64, err error) {
	const every = 20 * time.Millisecond
	for end := time.Now().Add(reading); time.Now().Before(end); {
		memory, err := l.bench.table.Memory(l.child.PID())
		if err != nil {
			return most, err
		}
		most = max(most, memory.RSS)
		if err := pause(ctx, every); err != nil {
			return most, err
		}
	}
	return most, nil
}

// takes returns the measurement of the memory that so many messages from the
// front of the queue take, however many more are waiting there.
func takes(messages int) measurement {
	return func(l *lap, ctx context.Context) (report.Sample, error) {
		l.partial = l.ground.Messages() > messages
		if err := l.begun(ctx); err != nil {
			return report.Sample{}, err
		}
		if err := l.untilSent(ctx, time.Now(), messages); err != nil {
			return report.Sample{}, err
		}
		memory, err := l.bench.table.Memory(l.child.PID())
		return report.Sample{PeakRSS: memory.PeakRSS}, err
	}
}
