package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"chat-messaging/cmd/bench/report"
)

// usage is the processor time that each part has used so far, and what the
// contender has allocated.
type usage struct {
	contender, postgres, rabbitmq time.Duration
	allocated                     allocated
}

// allocated is what a process has allocated since its start, by its own account.
type allocated struct {
	objects, bytes float64
}

func (l *lap) usage(ctx context.Context) (usage, error) {
	var u usage
	for _, part := range []struct {
		pid  int
		time *time.Duration
	}{
		{l.child.PID(), &u.contender},
		{l.bench.arena.PostgresPID, &u.postgres},
		{l.bench.arena.RabbitMQPID, &u.rabbitmq},
	} {
		var err error
		if *part.time, err = l.bench.table.CPU(part.pid); err != nil {
			return u, err
		}
	}
	if l.metrics == "" {
		return u, nil
	}
	var err error
	u.allocated, err = fetchAllocated(ctx, l.metrics)
	return u, err
}

// since is what the messages between two readings cost, each.
func (u usage) since(before usage, messages int) (report.CPU, report.Allocations) {
	each := func(used time.Duration) float64 {
		return float64(used.Nanoseconds()) / 1000 / float64(messages)
	}
	cpu := report.CPU{
		Contender: each(u.contender - before.contender),
		Postgres:  each(u.postgres - before.postgres),
		RabbitMQ:  each(u.rabbitmq - before.rabbitmq),
	}
	return cpu, report.Allocations{
		Count: (u.allocated.objects - before.allocated.objects) / float64(messages),
		Bytes: (u.allocated.bytes - before.allocated.bytes) / float64(messages),
	}
}

// fetchAllocated reads the metrics of a Go program.
func fetchAllocated(ctx context.Context, url string) (allocated, error) {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return allocated{}, fmt.Errorf("asking for metrics: %w", err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return allocated{}, fmt.Errorf("asking for metrics: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return allocated{}, fmt.Errorf("asking for metrics: %s", response.Status)
	}
	return parseAllocated(response.Body)
}

// parseAllocated reads the text format of Prometheus.
func parseAllocated(text io.Reader) (allocated, error) {
	a := allocated{objects: -1, bytes: -1}
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		var field *float64
		switch name {
		case "go_memstats_mallocs_total":
			field = &a.objects
		case "go_memstats_alloc_bytes_total":
			field = &a.bytes
		default:
			continue
		}
		var err error
		if *field, err = strconv.ParseFloat(value, 64); err != nil {
			return a, fmt.Errorf("reading metric %s: %w", name, err)
		}
	}
	if err := lines.Err(); err != nil {
		return a, fmt.Errorf("reading metrics: %w", err)
	}
	if a.objects < 0 || a.bytes < 0 {
		return a, errors.New("reading metrics: what was allocated is not among them")
	}
	return a, nil
}
