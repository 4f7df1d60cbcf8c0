package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
)

// command is a program to start as a server process.
type command struct {
	path     string
	args     []string
	env      []string
	dir      string
	account  account
	log      *os.File
	detached bool
	// deathSignal is sent by the kernel when the starting process dies; it is
	// not used when detached.
	deathSignal syscall.Signal
}

// process is one process of the operating system, told from a later one with
// the same number by the time of its start.
type process struct {
	PID  int    `json:"pid"`
	Born string `json:"born"`

	// reaped is closed when a child of ours is no zombie any more either; nil for
	// other processes.
	reaped chan struct{}
}

// spawn starts c and looks after its end, so that it leaves no zombie.
func spawn(c command) (*process, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.path, err)
	}
	defer null.Close()

	attr := &os.ProcAttr{
		Dir:   c.dir,
		Env:   c.env,
		Files: []*os.File{null, c.log, c.log},
		Sys:   sysProcAttr(c),
	}
	started := make(chan error)
	p := &process{reaped: make(chan struct{})}

	go func() {
		// The kernel sends the death signal when the THREAD that started the
		// child ends, not the process. So this goroutine takes a thread for
		// itself and keeps it until the child is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()

		child, err := os.StartProcess(c.path, append([]string{c.path}, c.args...), attr)
		if err == nil {
			p.PID = child.Pid
			p.Born = lookup(child.Pid).Born
		}
		started <- err
		if err == nil {
			_, _ = child.Wait() // how it ended is told by its log
			close(p.reaped)
		}
	}()

	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.path, err)
	}

	return p, nil
}

// alive is false for a nil process, an ended one, and one whose number belongs
// to another process by now.
func (p *process) alive() bool {
	if p == nil {
		return false
	}

	now := lookup(p.PID)

	return now.Born == p.Born && now.running()
}

func (p *process) signal(sig syscall.Signal) error {
	if !p.alive() {
		return nil
	}

	if err := syscall.Kill(p.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("sending signal %d to process %d: %w", sig, p.PID, err)
	}

	return nil
}

// wait blocks until the process has ended or ctx has. It polls, because a
// process that was started by an earlier run is nobody's child of ours.
func (p *process) wait(ctx context.Context) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()

	for p.alive() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for process %d: %w", p.PID, ctx.Err())
		case <-ticker.C:
		}
	}

	if p == nil || p.reaped == nil {
		return nil
	}
	// To a Postgres that is started next, a zombie is one that still runs.
	select {
	case <-p.reaped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for process %d to be reaped: %w", p.PID, ctx.Err())
	}
}
