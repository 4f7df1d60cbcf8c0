package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// usualSlack is the kernel's own, and a sign that nobody has chosen another, as
// systemd's TimerSlackNSec does.
const usualSlack = 50 * time.Microsecond

// relaxed is set for the program that relaxTimers begins anew: it must not do so again
// where the kernel forgets the slack meanwhile.
const relaxed = "CHAT_MESSAGING_TIMERS_RELAXED"

// relaxTimers begins the program anew with timerSlack, because a thread's slack is that
// of the thread that has made it, and when a Go program begins the runtime's threads are
// there. It is called before anything else, and returns if the program has begun anew or
// if that is not possible; then timers stay as they are.
func relaxTimers() {
	if _, again := os.LookupEnv(relaxed); again {
		_ = os.Unsetenv(relaxed)
		return
	}
	// Both calls are about the thread, and the one that begins anew is the one that stays.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if slack, err := slackOfThread(); err != nil || slack != usualSlack {
		return
	}
	program, err := os.Executable()
	if err != nil {
		return
	}
	if unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0) != nil {
		return
	}
	_ = syscall.Exec(program, os.Args, append(os.Environ(), relaxed+"=1")) //nolint:gosec // it is this program
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(usualSlack), 0, 0, 0)
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
