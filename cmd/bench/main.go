// Bench measures how fast the service takes messages in, stores them and sends
// their events out, beside two others in the same run:
//
//	A  a bare relay that stores nothing: the most that the broker lets through
//	B  a pipeline of Watermill's stock parts: what one would otherwise write
//	C  ours: the service's own binary
//
// It starts a Postgres and a RabbitMQ of its own, lets what is compared take turns
// over equal messages, checks that each has done its work, and prints a table.
// Processor time and memory are read from /proc, so it needs Linux.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"chat-messaging/cmd/bench/contender"
	"chat-messaging/cmd/bench/report"
)

// The exit codes, which scripts rely on.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// A second signal ends the process at once, and with it the servers.
	context.AfterFunc(ctx, stop)
	var code int
	if name, ok := asChild(os.Args[1:]); ok {
		code = runChild(ctx, name, os.Getenv(setupVariable), os.Stderr)
	} else {
		code = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	os.Exit(code)
}

// run is the whole program but for its process: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parseSettings(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "bench: %v\n", err)
		return exitUsage
	}
	result, err := measure(ctx, s, stderr)
	// What was measured before something went wrong is worth seeing.
	if err == nil || len(result.Rows) > 0 {
		err = errors.Join(err,
			result.WriteTable(stdout),
			writeFile(s.JSON, result.WriteJSON),
			writeFile(s.SVG, result.WriteSVG))
	}
	if err == nil && s.Check {
		err = check(result)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "bench: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// check tells which bars were missed.
func check(result report.Report) error {
	if !result.Judged() {
		return errors.New("checking: nothing was measured that has a bar")
	}
	if missed := result.Missed(); len(missed) > 0 {
		return fmt.Errorf("checking: missed %s", strings.Join(missed, ", "))
	}
	return nil
}

// writeFile writes a file, if it has a name.
func writeFile(path string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := write(file); err != nil {
		_ = file.Close()
		return err
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// The contenders that are no programs of their own run as this one:
//
//	bench child NAME     with their setup in the environment
const (
	childVerb     = "child"
	setupVariable = "BENCH_SETUP"
)

func asChild(args []string) (name string, ok bool) {
	if len(args) == 2 && args[0] == childVerb {
		return args[1], true
	}
	return "", false
}

func runChild(ctx context.Context, name, setupText string, stderr io.Writer) int {
	var setup contender.Setup
	err := json.Unmarshal([]byte(setupText), &setup)
	if err == nil {
		logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
		err = contender.Run(ctx, name, setup, logger)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "bench %s: %v\n", childVerb, err)
		return exitFailed
	}
	return exitOK
}
