package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"chat-messaging/cmd/bench/arena"
	"chat-messaging/cmd/bench/process"
	"chat-messaging/cmd/bench/report"
	"chat-messaging/pipeline"
)

// measure runs all rounds and reports. What it does meanwhile it tells on
// progress.
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
	say(progress, "starting private servers in %s", dir)
	var service string
	if slices.Contains(s.Contenders, nameOurs) {
		if service, err = buildService(ctx, s.Service, dir); err != nil {
			return report.Report{}, err
		}
	}
	a, err := arena.Open(ctx, arena.Config{
		Dir: filepath.Join(dir, "servers"), Postgres: s.Postgres, RabbitMQ: s.RabbitMQ, Chats: s.Chats,
	}, table)
	if err != nil {
		return report.Report{}, errors.Join(err, a.Close())
	}
	b := &bench{settings: s, arena: a, table: table, dir: dir, entrants: entrants(s, dir, service), progress: progress}
	result, err := b.run(ctx)
	if ctx.Err() != nil {
		err = errors.New("interrupted") // whatever else it has led to
	}
	return result, errors.Join(err, a.Close())
}

func say(progress io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(progress, format+"\n", args...)
}

// bench is one run of the program.
type bench struct {
	settings settings
	arena    *arena.Arena
	table    *process.Table
	dir      string
	entrants []entrant
	progress io.Writer
}

func (b *bench) run(ctx context.Context) (report.Report, error) {
	machine, err := b.machine(ctx)
	if err != nil {
		return report.Report{}, err
	}
	if err := b.warmUp(ctx); err != nil {
		return report.Report{}, err
	}
	var samples []report.Sample
	for number := range b.settings.Rounds {
		for _, queue := range b.settings.Queues {
			for _, e := range inTurn(b.entrants, number) {
				sample, err := b.round(ctx, e, queue, number+1, e.messages)
				if err != nil {
					return report.Report{}, fmt.Errorf("round %d of %s on a %s queue: %w", number+1, e.title, queue, err)
				}
				say(b.progress, "round %d of %d, %s: %-17s %7.0f msg/s", number+1, b.settings.Rounds, queue, e.title, sample.Rate())
				samples = append(samples, sample)
			}
		}
	}
	b.sort(samples)
	return report.New(machine, b.settings, samples, b.floors()), nil
}

// warmUp gives every contender a first round that does not count: the servers'
// first transactions and the disk's first pages are slow.
func (b *bench) warmUp(ctx context.Context) error {
	if b.settings.WarmUp == 0 {
		return nil
	}
	say(b.progress, "warming up")
	for _, queue := range b.settings.Queues {
		for _, e := range b.entrants {
			if _, err := b.round(ctx, e, queue, 0, min(b.settings.WarmUp, e.messages)); err != nil {
				return fmt.Errorf("warming %s up on a %s queue: %w", e.title, queue, err)
			}
		}
	}
	return nil
}

// inTurn returns the contenders in the order of a round: each is the first one
// as often as the others, because what a contender leaves to the servers (dead
// rows to clean, files to write) falls upon the next.
func inTurn(all []entrant, round int) []entrant {
	first := round % len(all)
	return append(slices.Clone(all[first:]), all[:first]...)
}

// sort brings the samples into the order of the table: that of the queues, then
// the contenders.
func (b *bench) sort(samples []report.Sample) {
	slices.SortStableFunc(samples, func(x, y report.Sample) int {
		if d := slices.Index(b.settings.Queues, x.Queue) - slices.Index(b.settings.Queues, y.Queue); d != 0 {
			return d
		}
		return strings.Compare(x.Contender, y.Contender)
	})
}

func (b *bench) floors() []report.Floor {
	titles := map[string]string{}
	for _, e := range b.entrants {
		titles[e.name] = e.title
	}
	toRelay := map[string]float64{
		pipeline.QueueQuorum: b.settings.Floors.Quorum, pipeline.QueueClassic: b.settings.Floors.Classic,
	}
	var all []report.Floor
	for _, queue := range b.settings.Queues {
		all = append(all,
			report.Floor{Queue: queue, Of: titles[nameOurs], To: titles[nameRelay], Least: toRelay[queue]},
			report.Floor{Queue: queue, Of: titles[nameOurs], To: titles[nameStock], Least: b.settings.Floors.Stock})
	}
	return all
}

func (b *bench) machine(ctx context.Context) (report.Machine, error) {
	m := report.Machine{Processors: runtime.NumCPU(), Processor: processorName(), Go: runtime.Version()}
	var err error
	if m.Postgres, m.Durability, err = b.arena.Postgres(ctx); err != nil {
		return m, err
	}
	if process.InMemory(b.dir) {
		m.Durability += ", BUT ON A DISK IN MEMORY: see -dir"
	}
	m.RabbitMQ, err = b.arena.RabbitMQ(ctx)
	return m, err
}

// processorName is what the kernel calls the processor.
func processorName() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func writeJSON(path string, result report.Report) error {
	if path == "" {
		return nil
	}
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("writing the report as JSON: %w", err)
	}
	if err := result.WriteJSON(file); err != nil {
		_ = file.Close()
		return err
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("writing the report as JSON: %w", err)
	}
	return nil
}
