package instance

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// entry is a process as the system lists it.
type entry struct {
	process
	parent int
	state  byte // as ps shows it; 0 when there is no such process
}

func (e entry) running() bool { return e.state != 0 && e.state != 'Z' && e.state != 'X' }
func (e entry) stopped() bool { return e.state == 'T' }

// freezeTimeout bounds the wait for a process that is in a disk operation and
// so cannot be stopped at once.
const freezeTimeout = 5 * time.Second

// tree lists root, if it is alive, and everything it started, directly or not.
func tree(root *process) ([]entry, error) {
	if !root.alive() {
		return nil, nil
	}

	all, err := processes()
	if err != nil {
		return nil, err
	}

	children := make(map[int][]entry, len(all))
	for _, e := range all {
		children[e.parent] = append(children[e.parent], e)
	}

	members := []entry{lookup(root.PID)}
	for i := 0; i < len(members); i++ {
		members = append(members, children[members[i].PID]...)
	}

	return members, nil
}

// freeze stops root and everything it started, and returns them when all stand
// still. It lists again and again because a process can fork until it is
// stopped: only a round in which all stood still is complete.
func freeze(root *process) ([]entry, error) {
	deadline := time.Now().Add(freezeTimeout)

	for {
		members, err := tree(root)
		if err != nil {
			return nil, err
		}

		still := true
		for _, e := range members {
			if e.running() && !e.stopped() {
				still = false
				err = errors.Join(err, e.signal(syscall.SIGSTOP))
			}
		}

		if still || err != nil {
			return members, err
		}

		if time.Now().After(deadline) {
			return members, fmt.Errorf("freezing process %d: not all stood still within %s", root.PID, freezeTimeout)
		}
	}
}

// killTree ends root and everything it started and waits until all are gone.
// They are frozen first, so that none of them sees another one die and writes
// something about it, or forks past the list.
func killTree(root *process) error {
	members, err := freeze(root)
	if members == nil {
		return err
	}
	// A tree that could not be frozen is killed all the same: the signal does
	// not depend on it.
	if err := signalAll(members, syscall.SIGKILL); err != nil {
		return err
	}

	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()

	for _, e := range members {
		if err := e.wait(ctx); err != nil {
			return err
		}
	}

	return root.wait(ctx)
}

func signalAll(members []entry, sig syscall.Signal) error {
	var faults []error
	for _, e := range members {
		faults = append(faults, e.signal(sig))
	}

	return errors.Join(faults...)
}
