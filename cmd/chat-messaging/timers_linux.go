package main

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// usualSlack is the kernel's own, and a sign that nobody has chosen another, as
// systemd's TimerSlackNSec does.
const usualSlack = 50 * time.Microsecond

// relaxTimers begins the program anew with timerSlack, because a thread's slack is that
// of the thread that has made it, and when a Go program begins the runtime's threads are
// there. It is called before anything else, and returns if the program has begun anew or
// need not. With an error too the program can go on, as it is.
//
// The caller holds the thread, and has since main began. What it sets is about the
// thread, the one that begins anew is the one that stays, and only the first one of the
// process still has the signal that it asked for at its parent's end.
func relaxTimers() error {
	if _, keep := os.LookupEnv(keepTimers); keep || unix.Gettid() != os.Getpid() {
		return nil
	}
	if slack, err := slackOfThread(); err != nil || slack != usualSlack {
		return nil //nolint:nilerr // there is none, or somebody has chosen
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("relaxing timers: %w", err)
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("relaxing timers: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0); err != nil {
		return fmt.Errorf("relaxing timers: %w", err)
	}
	// Kept from now on: this must not go on for ever where the kernel forgets the slack.
	environ := append(os.Environ(), keepTimers+"=1")
	err = syscall.Exec(program, os.Args, environ) //nolint:gosec // it is this program
	// Exec has lowered the limit to what it was before the Go runtime raised it.
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files)
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(usualSlack), 0, 0, 0)
	return fmt.Errorf("relaxing timers: beginning anew: %w", err)
}

// slackOfThread is the slack of the calling thread. All of a process have the same,
// unless somebody changes it.
func slackOfThread() (time.Duration, error) {
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return 0, fmt.Errorf("asking for the timer slack: %w", err)
	}
	return time.Duration(slack), nil
}
