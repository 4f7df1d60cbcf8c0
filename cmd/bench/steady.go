package main

import (
	"context"
	"time"

	"chat-messaging/cmd/bench/arena"
	"chat-messaging/cmd/bench/report"
)

// steadily returns the measurement of a stream at an even pace.
func steadily(cfg arena.SteadyConfig) measurement {
	return func(l *lap, ctx context.Context) (report.Sample, error) {
		if err := l.consuming(ctx); err != nil {
			return report.Sample{}, err
		}
		var before, after usage
		var began time.Time
		var took time.Duration
		cfg := cfg
		cfg.Begin = func() (err error) {
			began = time.Now()
			before, err = l.usage(ctx)
			return err
		}
		cfg.End = func() (err error) {
			took = time.Since(began)
			after, err = l.usage(ctx)
			return err
		}
		times, err := l.ground.Steady(ctx, cfg, l.ledger)
		if err != nil {
			return report.Sample{}, err
		}
		memory, err := l.bench.table.Memory(l.child.PID())
		sample := report.Sample{
			Messages: len(times), Seconds: took.Seconds(), PeakRSS: memory.PeakRSS, Latency: report.NewLatency(times),
		}
		sample.CPU, sample.Allocations = after.since(before, len(times))
		return sample, err
	}
}
