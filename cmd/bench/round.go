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

// round lets one contender work once:
//
//	prepare, fill, settle ▸ start ▸ first message handed out ▸ all events out ▸ stop ▸ verify
//	                                └──────── measured ────────┘
//
// Number 0 is the warm-up. All variants of a round get the same messages, as far
// as their workloads are alike.
func (b *bench) round(ctx context.Context, v variant, number int) (_ report.Sample, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, b.settings.Timeout, fmt.Errorf("not finished within %s", b.settings.Timeout))
	defer cancel()
	v.workload.Seed = b.settings.Seed + uint64(number) //nolint:gosec // a small positive number
	v.ground.Workload = v.workload
	ground, err := b.arena.Prepare(ctx, v.ground)
	if ground != nil {
		defer func() { err = errors.Join(err, ground.Close(context.WithoutCancel(ctx))) }()
	}
	if err != nil {
		return report.Sample{}, err
	}
	defer context.AfterFunc(ctx, ground.Interrupt)()
	l := &lap{bench: b, ground: ground, ledger: arena.NewLedger(v.workload, v.entrant.ordered)}
	if err := pause(ctx, b.settings.Settle); err != nil {
		return report.Sample{}, err
	}
	sample, err := b.run(ctx, v, l)
	if err != nil {
		return report.Sample{}, err
	}
	sample.Line, sample.Round = v.Line, number
	if l.partial {
		return sample, ground.VerifyPart(ctx)
	}
	return sample, ground.Verify(ctx, l.ledger, v.entrant.stores)
}

// run starts the contender, measures it, and stops it.
func (b *bench) run(ctx context.Context, v variant, l *lap) (report.Sample, error) {
	start, err := v.entrant.launch(l.ground, v.further)
	if err != nil {
		return report.Sample{}, err
	}
	l.metrics = start.metrics
	if l.child, err = process.Start(start.Command); err != nil {
		return report.Sample{}, err
	}
	watched, unwatch := context.WithCancelCause(ctx)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case <-l.child.Ended():
			unwatch(l.child.Err())
		case <-watched.Done():
		}
	}()
	sample, err := v.measure(l, watched)
	if err != nil && watched.Err() != nil {
		err = context.Cause(watched) // whatever else it has led to
	}
	unwatch(nil)
	<-watching
	stopping, done := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer done()
	return sample, errors.Join(err, l.child.Stop(stopping))
}
