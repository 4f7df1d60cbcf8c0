// Soak proves the service's guarantees by killing it. It builds the service so
// that it can be told where to die, starts a Postgres and a RabbitMQ of its own,
// and then, for as long as it is told to, kills them all and the dispatcher that
// takes the events, while messages of every kind come in. At the end it audits
// what is stored and what was dispatched, prints what it has found, and exits 1
// if anything is lost, doubled or out of order.
//
//	soak [flags]            the long run
//	soak [flags] mutants    the mistakes that the audit must notice, one by one
//
// Package crash tells how.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"chat-messaging/cmd/bench/process"
	"chat-messaging/cmd/soak/crash"
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
	if setup, ok := os.LookupEnv(recorderVariable); ok {
		os.Exit(runRecorder(ctx, setup, os.Stderr))
	}
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program but for its process: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parseSettings(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "soak: %v\n", err)
		return exitUsage
	}
	rig, err := newRig(ctx, s, stderr)
	if err == nil {
		if s.Mutants {
			err = rig.mutants(ctx, stdout)
		} else {
			err = rig.soak(ctx, stdout)
		}
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted") // whatever else it has led to
	}
	if err = errors.Join(err, rig.close()); err != nil {
		_, _ = fmt.Fprintf(stderr, "soak: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// recorderVariable makes this program a recorder, in a process of its own that
// can be killed.
const recorderVariable = "SOAK_RECORDER"

// recorderCommand is this program as a recorder.
func recorderCommand(setup crash.RecorderSetup) (process.Command, error) {
	self, err := os.Executable()
	if err != nil {
		return process.Command{}, fmt.Errorf("finding this program: %w", err)
	}
	text, err := json.Marshal(setup)
	if err != nil {
		return process.Command{}, fmt.Errorf("writing the setup of a recorder: %w", err)
	}
	return process.Command{Path: self, Env: []string{recorderVariable + "=" + string(text)}}, nil
}

func runRecorder(ctx context.Context, text string, stderr io.Writer) int {
	var setup crash.RecorderSetup
	err := json.Unmarshal([]byte(text), &setup)
	if err == nil {
		err = crash.Record(ctx, setup)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "recorder: %v\n", err)
		return exitFailed
	}
	return exitOK
}
