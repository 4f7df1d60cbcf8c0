package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chat-messaging/cmd/bench/arena"
	"chat-messaging/cmd/bench/process"
	"chat-messaging/cmd/bench/report"
)

// stopGrace bounds how long a contender may take to finish once its work is
// done.
const stopGrace = 30 * time.Second

// round lets one contender drain a full queue:
//
//	prepare, fill, settle ▸ start ▸ first message handed out ▸ all events out ▸ stop ▸ verify
//	                                └──────── measured ────────┘
//
// Number 0 is the warm-up. All contenders of a round get the same messages.
func (b *bench) round(ctx context.Context, e entrant, queue string, number, messages int) (_ report.Sample, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, b.settings.Timeout, fmt.Errorf("not finished within %s", b.settings.Timeout))
	defer cancel()
	ground, err := b.arena.Prepare(ctx, arena.GroundConfig{
		Workload: arena.Workload{
			Count: messages, Chats: b.settings.Chats, BodyBytes: b.settings.BodyBytes,
			Seed: b.settings.Seed + uint64(number), //nolint:gosec // a small positive number
		},
		QueueType: queue, InputArguments: e.inputArguments,
	})
	if ground != nil {
		defer func() { err = errors.Join(err, ground.Close(context.WithoutCancel(ctx))) }()
	}
	if err != nil {
		return report.Sample{}, err
	}
	defer context.AfterFunc(ctx, ground.Interrupt)()
	if err := pause(ctx, b.settings.Settle); err != nil {
		return report.Sample{}, err
	}
	command, err := e.command(ground)
	if err != nil {
		return report.Sample{}, err
	}
	child, err := process.Start(command)
	if err != nil {
		return report.Sample{}, err
	}
	d := &drain{ground: ground, child: child, bench: b, messages: messages}
	sample, err := d.measure(ctx)
	stopping, done := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer done()
	if err := errors.Join(err, child.Stop(stopping)); err != nil {
		return report.Sample{}, err
	}
	sample.Queue, sample.Contender, sample.Round = queue, e.title, number
	return sample, ground.Verify(ctx, e.stores)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
