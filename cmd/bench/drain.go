package main

import (
	"context"
	"time"

	"chat-messaging/cmd/bench/report"
)

// drain watches a contender empty a queue. It returns once the input queue is
// empty, all events are out and what must be parked is. That the messages are
// acknowledged too shows only when the contender has gone: until then the broker
// does not count those that it has handed out.
func (l *lap) drain(ctx context.Context) (report.Sample, error) {
	messages := l.ground.Messages()
	if err := l.begun(ctx); err != nil {
		return report.Sample{}, err
	}
	began := time.Now()
	before, err := l.usage(ctx)
	if err != nil {
		return report.Sample{}, err
	}
	if err := l.untilSent(ctx, began, l.ledger.Events()); err != nil {
		return report.Sample{}, err
	}
	if err := l.until(ctx, time.Millisecond, func() (bool, error) {
		waiting, err := l.ground.Waiting()
		if err != nil || waiting > 0 {
			return false, err
		}
		parked, err := l.ground.Parked()
		return parked >= l.ledger.Poisoned(), err
	}); err != nil {
		return report.Sample{}, err
	}
	took := time.Since(began)
	after, err := l.usage(ctx)
	if err != nil {
		return report.Sample{}, err
	}
	memory, err := l.bench.table.Memory(l.child.PID())
	sample := report.Sample{Messages: messages, Seconds: took.Seconds(), PeakRSS: memory.PeakRSS}
	sample.CPU, sample.Allocations = after.since(before, messages)
	return sample, err
}

// begun waits for the first message to be handed out: the start of the process
// is the service's affair, not the pipeline's.
func (l *lap) begun(ctx context.Context) error {
	return l.until(ctx, time.Millisecond, func() (bool, error) {
		waiting, err := l.ground.Waiting()
		return waiting < l.ground.Messages(), err
	})
}

// untilSent waits for the last of so many events. It asks at a quarter of the
// time that the rest seems to take.
func (l *lap) untilSent(ctx context.Context, began time.Time, events int) error {
	const shortest, longest = time.Millisecond, 50 * time.Millisecond
	for {
		sent, err := l.ground.Sent()
		if err != nil || sent >= events {
			return err
		}
		wait := longest
		if sent > 0 {
			rest := time.Since(began) * time.Duration(events-sent) / time.Duration(sent)
			wait = min(max(rest/4, shortest), longest)
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}
