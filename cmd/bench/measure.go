package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"chat-messaging/cmd/bench/arena"
	"chat-messaging/cmd/bench/process"
	"chat-messaging/cmd/bench/report"
)

// measure runs all rounds and reports, after an error what it has so far. What it
// does meanwhile it tells on progress.
func measure(ctx context.Context, s settings, progress io.Writer) (report.Report, error) {
	table, err := process.NewTable()
	if err != nil {
		return report.Report{}, err
	}
	dir, err := os.MkdirTemp(s.Dir, "chat-messaging-bench-*")
	if err != nil {
		return report.Report{}, fmt.Errorf("making a folder for the servers: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var service string
	if slices.Contains(s.Contenders, nameOurs) {
		if service, err = buildService(ctx, s.Service, dir); err != nil {
			return report.Report{}, err
		}
	}
	b := &bench{settings: s, table: table, dir: dir, progress: progress}
	contests := s.chosen(s.contests(dir, service))
	// What needs other servers comes last, so that both start once.
	large := slices.DeleteFunc(slices.Clone(contests), func(c contest) bool { return !c.large })
	usual := slices.DeleteFunc(slices.Clone(contests), func(c contest) bool { return c.large })
	for _, part := range [][]contest{usual, large} {
		if err := b.inArena(ctx, part); err != nil {
			if ctx.Err() != nil {
				err = errors.New("interrupted") // whatever else it has led to
			}
			return b.report(contests), err
		}
	}
	return b.report(contests), nil
}

func say(progress io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(progress, format+"\n", args...)
}

// bench is one run of the program.
type bench struct {
	settings settings
	table    *process.Table
	dir      string
	progress io.Writer
	// arena is where the rounds take place at the moment.
	arena   *arena.Arena
	machine report.Machine
	samples []report.Sample
}

// inArena starts the servers that the contests need, holds them, and stops the
// servers.
func (b *bench) inArena(ctx context.Context, contests []contest) (err error) {
	if len(contests) == 0 {
		return nil
	}
	cfg := arena.Config{
		Dir: filepath.Join(b.dir, "servers"), RabbitMQ: b.settings.RabbitMQ, Chats: b.settings.Chats,
		Postgres: maps.Clone(b.settings.Postgres),
	}
	if contests[0].large {
		cfg.Stored = b.settings.Stored
		if _, given := cfg.Postgres["shared_buffers"]; !given {
			cfg.Postgres["shared_buffers"] = "1GB"
		}
	}
	say(b.progress, "starting private servers in %s", b.dir)
	if cfg.Stored > 0 {
		say(b.progress, "storing %s messages", thousands(cfg.Stored))
	}
	a, err := arena.Open(ctx, cfg, b.table)
	defer func() { err = errors.Join(err, a.Close()) }()
	if err != nil {
		return err
	}
	b.arena = a
	if b.machine, err = b.describe(ctx); err != nil {
		return err
	}
	if err := b.warmUp(ctx, contests); err != nil {
		return err
	}
	for _, c := range contests {
		if err := b.hold(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// warmUp gives every contender a first round that does not count: the servers'
// first transactions and the disk's first pages are slow.
func (b *bench) warmUp(ctx context.Context, contests []contest) error {
	if b.settings.WarmUp == 0 {
		return nil
	}
	say(b.progress, "warming up")
	type pair struct{ contender, queue string }
	warm := map[pair]bool{}
	for _, c := range contests {
		for _, v := range c.variants {
			p := pair{v.entrant.name, v.Queue}
			if warm[p] {
				continue
			}
			warm[p] = true
			w := plan{settings: b.settings}.clean(b.settings.WarmUp)
			if _, err := b.round(ctx, draining(v.Line, v.entrant, w), 0); err != nil {
				return fmt.Errorf("warming %s up on a %s queue: %w", v.entrant.title, v.Queue, err)
			}
		}
	}
	return nil
}

// hold runs all rounds of a contest.
func (b *bench) hold(ctx context.Context, c contest) error {
	rounds := cmp.Or(c.rounds, b.settings.Rounds)
	for number := range rounds {
		for _, v := range inTurn(c.variants, number) {
			sample, err := b.round(ctx, v, number+1)
			if err != nil {
				return fmt.Errorf("round %d of %s, %s on a %s queue: %w", number+1, c.name, v.Variant, v.Queue, err)
			}
			say(b.progress, "%-8s %-7s round %d of %d: %-20s %s", c.name, v.Queue, number+1, rounds, v.Variant, headline(sample))
			b.samples = append(b.samples, sample)
		}
	}
	return nil
}

// headline is the figure that a round is about.
func headline(s report.Sample) string {
	switch {
	case s.Latency.P99 > 0:
		return fmt.Sprintf("%7.1f ms p99", s.Latency.P99)
	case s.Seconds > 0:
		return fmt.Sprintf("%7.0f msg/s", s.Rate())
	default:
		return fmt.Sprintf("%7.0f MiB", float64(s.PeakRSS)/(1<<20))
	}
}

// inTurn returns the variants in the order of a round: each is the first one as
// often as the others, because what one leaves to the servers (dead rows to
// clean, files to write) falls upon the next.
func inTurn(all []variant, round int) []variant {
	first := round % len(all)
	return append(slices.Clone(all[first:]), all[:first]...)
}

// report has its lines and bars in the order of the contests.
func (b *bench) report(contests []contest) report.Report {
	var samples []report.Sample
	var comparisons []report.Comparison
	for _, c := range contests {
		for _, v := range c.variants {
			for _, s := range b.samples {
				if s.Line == v.Line {
					samples = append(samples, s)
				}
			}
		}
		comparisons = append(comparisons, c.comparisons...)
	}
	return report.New(b.machine, b.settings, samples, comparisons)
}
