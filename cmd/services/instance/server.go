package instance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
)

// ErrNotRunning is returned by the Attach functions where no server runs in
// the folder, and by the faults that need a running server.
var ErrNotRunning = errors.New("no server runs in this folder")

// killTimeout bounds the wait for killed processes; the kernel needs
// milliseconds unless the disk hangs.
const killTimeout = 30 * time.Second

// server is what both kinds of instance are made of: the processes, and the
// faults that tests inject into them. Safe for concurrent use; a call waits for
// the one before it.
type server struct {
	mu     sync.Mutex
	dir    folder
	main   *process   // nil until started for the first time
	others []*process // what main needs beside it, ended after it
	guard  *guard     // set while paused
	claims claims     // on the ports that it was given
	// settled cleans up what a killed server left outside its folder; may be nil.
	settled func()
}

// Running reports whether the server's main process exists. A paused server is
// running, and so is one that is still recovering.
func (s *server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.main.alive()
}

// PID is the server's main process, the parent of its others; 0 while it does
// not run.
func (s *server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()

	if !s.main.alive() {
		return 0
	}

	return s.main.PID
}

// Kill ends every process of the server with SIGKILL, so that nothing is
// flushed or said good-bye to, and returns when all of them are gone. A server
// that does not run is left as it is. Start brings the server back.
func (s *server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.kill()
}

// Pause freezes every process of the server with SIGSTOP: connections stay
// open and nothing answers. Returns when all are frozen. If the calling process
// dies before Continue, the server is woken, so that it can die too.
func (s *server) Pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()

	if !s.main.alive() {
		return fmt.Errorf("pausing %s: %w", s.dir.path, ErrNotRunning)
	}

	if s.guard != nil {
		return nil
	}

	frozen, err := freeze(s.main)
	if err != nil {
		return fmt.Errorf("pausing %s: %w", s.dir.path, err)
	}

	s.guard, err = watchFrozen(frozen)
	if err != nil {
		return errors.Join(fmt.Errorf("pausing %s: %w", s.dir.path, err), signalAll(frozen, syscall.SIGCONT))
	}

	return nil
}

// Continue wakes a paused server. A server that is not paused is left as it is.
func (s *server) Continue() error {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.wake()
}

func (s *server) wake() error {
	if s.guard == nil {
		return nil
	}

	frozen, err := s.guard.dismiss()
	s.guard = nil

	if err = errors.Join(err, signalAll(frozen, syscall.SIGCONT)); err != nil {
		return fmt.Errorf("waking %s: %w", s.dir.path, err)
	}

	return nil
}

func (s *server) kill() error {
	var faults []error

	ran := s.main.alive()

	if s.guard != nil {
		_, err := s.guard.dismiss()
		faults = append(faults, err)
		s.guard = nil
	}

	for _, p := range append([]*process{s.main}, s.others...) {
		faults = append(faults, killTree(p))
	}

	s.others = nil
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("killing %s: %w", s.dir.path, err)
	}

	// Not for a server that has ended before: what it left may belong to
	// another one by now.
	if ran && s.settled != nil {
		s.settled()
	}

	return nil
}

// stop asks the main process to end with sig and waits for it. When ctx ends
// first the server is killed and the error says so: after stop nothing runs.
func (s *server) stop(ctx context.Context, sig syscall.Signal) error {
	if err := s.wake(); err != nil {
		return errors.Join(err, s.kill())
	}

	if s.main.alive() {
		if err := s.main.signal(sig); err != nil {
			return errors.Join(fmt.Errorf("stopping %s: %w", s.dir.path, err), s.kill())
		}

		if err := s.main.wait(ctx); err != nil {
			return errors.Join(fmt.Errorf("stopping %s, it was killed instead: %w", s.dir.path, err), s.kill())
		}
	}

	// What is left by now are the processes beside the main one.
	return s.kill()
}

// ready calls probe until it succeeds. It gives up when ctx ends or the server
// does; then it kills what is left of the server, and the error ends with the
// last lines of the server's own log.
func (s *server) ready(ctx context.Context, probe func(context.Context) error) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()

	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}

		select {
		case <-ctx.Done():
			err = fmt.Errorf("%w; the last try said: %w", ctx.Err(), err)
		case <-ticker.C:
			if s.main.alive() {
				continue
			}

			err = errors.New("the server ended by itself")
		}

		return errors.Join(fmt.Errorf("%w\n%s", err, s.dir.logTail()), s.kill())
	}
}
