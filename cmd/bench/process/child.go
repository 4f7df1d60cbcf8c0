package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Command is a program to run as a measured process.
type Command struct {
	Path string
	Args []string
	// Env is all of its environment.
	Env []string
	// Dir is its working folder.
	Dir string
}

// Child is a measured process that runs until it is stopped.
type Child struct {
	name  string
	cmd   *exec.Cmd
	said  *tail
	ended chan struct{}
	err   error // of its end, once ended is closed
}

// Start starts the process. It ends with this one at the latest.
func Start(c Command) (*Child, error) {
	said := &tail{}
	child := &Child{
		name: filepath.Base(c.Path),
		//nolint:noctx // our own programs; Stop ends them in order
		cmd:   exec.Command(c.Path, c.Args...),
		said:  said,
		ended: make(chan struct{}),
	}
	child.cmd.Env, child.cmd.Dir = c.Env, c.Dir
	child.cmd.WaitDelay = time.Second // for what the process itself may leave behind
	child.cmd.Stdout, child.cmd.Stderr = said, said
	child.cmd.SysProcAttr = attributes()
	started := make(chan error)
	go func() {
		// The kernel ties the child to the thread that starts it, not to the
		// process, so this goroutine keeps its thread until the child is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := child.cmd.Start()
		started <- err
		if err == nil {
			child.err = child.cmd.Wait()
			close(child.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", child.name, err)
	}
	return child, nil
}

// PID is the number of the process.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Dir is its working folder.
func (c *Child) Dir() string { return c.cmd.Dir }

// Ended is closed when the process has ended.
func (c *Child) Ended() <-chan struct{} { return c.ended }

// Err says how the process ended, with the last that it said. Call it once Ended
// is closed.
func (c *Child) Err() error {
	if c.err == nil {
		return fmt.Errorf("%s ended by itself\n%s", c.name, c.said)
	}
	return fmt.Errorf("%s ended by itself: %w\n%s", c.name, c.err, c.said)
}

// Kill ends the process with SIGKILL, as a machine that fails does, and returns
// when it is gone. Killing a process that has ended does nothing.
func (c *Child) Kill() {
	_ = c.cmd.Process.Kill() // fails only if it has just ended
	<-c.ended
}

// Killed tells whether SIGKILL ended the process, somebody else's or its own.
// Call it once Ended is closed.
func (c *Child) Killed() bool {
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// Stop asks the process to end and waits for it; when ctx ends first it kills
// it. It returns an error unless the process then ends with success. Stopping a
// process that has ended is not an error if that was with success.
func (c *Child) Stop(ctx context.Context) error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", c.name, err)
	}
	select {
	case <-c.ended:
	case <-ctx.Done():
		_ = c.cmd.Process.Kill() // fails only if it has just ended
		<-c.ended
		return fmt.Errorf("stopping %s, it was killed instead: %w\n%s", c.name, context.Cause(ctx), c.said)
	}
	if c.err != nil {
		return fmt.Errorf("stopping %s: %w\n%s", c.name, c.err, c.said)
	}
	return nil
}
