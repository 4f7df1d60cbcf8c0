// Chat-messaging stores and dispatches the messages of a chat system. This
// package is its command line: it turns the environment into a configuration,
// builds the parts from it and runs them. What the service does is told in
// package pipeline.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"chat-messaging/middleware/failpoint"
)

const program = "chat-messaging"

// The exit codes, which scripts rely on.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	// exitNothing: what was asked for does not exist.
	exitNothing = 3
	// exitPartly: some of it could not be done.
	exitPartly = 4
)

// errNothingFound makes the program exit with exitNothing.
var errNothingFound = errors.New("nothing found")

// gcPercent lets the heap grow to three times what lives before it is collected.
// The service has little that lives and makes a lot of garbage, so half of the
// collections are saved for a few megabytes. GOGC in the environment wins.
const gcPercent = 200

// The runtime begins main on the first thread of the process, which relaxTimers needs,
// if an init has asked for it.
func init() { runtime.LockOSThread() } //nolint:gochecknoinits // see above

func main() {
	if serves(os.Args[1:]) {
		if err := relaxTimers(); err != nil {
			tell(os.Stderr, fmt.Sprintf("%s: going on without: %v\n", program, err))
		}
	}
	runtime.UnlockOSThread()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if err := failpoint.Arm(os.Environ()); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
		os.Exit(exitUsage)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	go obeySignals(signals, cancel, os.Stderr, os.Exit)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

// run is the whole program but for its process: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	root, started := newRoot(environ)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)

	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	text := fmt.Sprintf("%s: %v\n", program, err)

	if coded, ok := errors.AsType[exitError](err); ok {
		return coded.code
	}
	// Whatever fails before the verb has begun is about how it was called.
	var usage usageError
	if errors.As(err, &usage) || !started() {
		tell(stderr, text+fmt.Sprintf("Run \"%s --help\" for usage.\n", cmd.CommandPath()))
		return exitUsage
	}
	tell(stderr, text)
	if errors.Is(err, errNothingFound) {
		return exitNothing
	}
	return exitFailed
}

// tell writes the last words of a process. It does not wait for long: a pipe that
// is full and that nobody reads must not keep the process from ending.
func tell(w io.Writer, text string) {
	told := make(chan struct{})
	go func() {
		defer close(told)
		_, _ = io.WriteString(w, text)
	}()
	select {
	case <-told:
	case <-time.After(time.Second):
	}
}

// obeySignals cancels at the first signal, which lets the service drain, and
// ends the process at the second one.
func obeySignals(signals <-chan os.Signal, cancel context.CancelFunc, stderr io.Writer, exit func(code int)) {
	<-signals
	cancel()
	<-signals
	tell(stderr, program+": second signal, giving up at once\n")
	exit(exitFailed)
}
