package main

import (
	"context"
	"time"

	"chat-messaging/cmd/bench/arena"
	"chat-messaging/cmd/bench/process"
	"chat-messaging/cmd/bench/report"
)

// drain watches a contender empty a queue.
type drain struct {
	ground   *arena.Ground
	child    *process.Child
	bench    *bench
	messages int
}

// measure returns once the input queue is empty and all events are out. That
// the messages are acknowledged too shows only when the contender has gone:
// until then the broker does not count those that it has handed out.
func (d *drain) measure(ctx context.Context) (report.Sample, error) {
	// From the first message on, not from the start of the process, because that
	// is the service's affair, not the pipeline's.
	if err := d.until(ctx, time.Millisecond, func() (bool, error) {
		waiting, err := d.ground.Waiting()
		return waiting < d.messages, err
	}); err != nil {
		return report.Sample{}, err
	}
	began := time.Now()
	before, err := d.usage()
	if err != nil {
		return report.Sample{}, err
	}
	if err := d.untilSent(ctx, began); err != nil {
		return report.Sample{}, err
	}
	if err := d.until(ctx, time.Millisecond, func() (bool, error) {
		waiting, err := d.ground.Waiting()
		return waiting == 0, err
	}); err != nil {
		return report.Sample{}, err
	}
	took := time.Since(began)
	after, err := d.usage()
	if err != nil {
		return report.Sample{}, err
	}
	peak, err := d.bench.table.PeakRSS(d.child.PID())
	return report.Sample{
		Messages: d.messages, Seconds: took.Seconds(), CPU: after.since(before, d.messages), PeakRSS: peak,
	}, err
}

// untilSent waits for the last event. Asking is work for the broker, so it asks
// at a quarter of the time that the rest seems to take.
func (d *drain) untilSent(ctx context.Context, began time.Time) error {
	const shortest, longest = time.Millisecond, 50 * time.Millisecond
	for {
		sent, err := d.ground.Sent()
		if err != nil || sent >= d.messages {
			return d.blame(ctx, err)
		}
		wait := longest
		if sent > 0 {
			rest := time.Since(began) * time.Duration(d.messages-sent) / time.Duration(sent)
			wait = min(max(rest/4, shortest), longest)
		}
		if err := d.wait(ctx, wait); err != nil {
			return err
		}
	}
}

func (d *drain) until(ctx context.Context, every time.Duration, reached func() (bool, error)) error {
	for {
		if yes, err := reached(); yes || err != nil {
			return d.blame(ctx, err)
		}
		if err := d.wait(ctx, every); err != nil {
			return err
		}
	}
}

// wait pauses, and fails if the contender or the time has ended.
func (d *drain) wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-d.child.Ended():
		return d.child.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// blame prefers the end of the time to an error that it has led to.
func (d *drain) blame(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// usage is the processor time that each part has used so far.
type usage struct {
	contender, postgres, rabbitmq time.Duration
}

func (d *drain) usage() (usage, error) {
	var u usage
	for _, part := range []struct {
		pid  int
		time *time.Duration
	}{
		{d.child.PID(), &u.contender},
		{d.bench.arena.PostgresPID, &u.postgres},
		{d.bench.arena.RabbitMQPID, &u.rabbitmq},
	} {
		var err error
		if *part.time, err = d.bench.table.CPU(part.pid); err != nil {
			return u, err
		}
	}
	return u, nil
}

func (u usage) since(before usage, messages int) report.CPU {
	each := func(used time.Duration) float64 {
		return float64(used.Nanoseconds()) / 1000 / float64(messages)
	}
	return report.CPU{
		Contender: each(u.contender - before.contender),
		Postgres:  each(u.postgres - before.postgres),
		RabbitMQ:  each(u.rabbitmq - before.rabbitmq),
	}
}
