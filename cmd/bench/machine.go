package main

import (
	"context"
	"os"
	"runtime"
	"strings"

	"chat-messaging/cmd/bench/process"
	"chat-messaging/cmd/bench/report"
)

// describe tells what the figures are measured on.
func (b *bench) describe(ctx context.Context) (report.Machine, error) {
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
