//go:build !linux

package instance

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// sysProcAttr cannot tie a child to its parent's life here: only Linux has a
// death signal. A test that is killed leaves its servers running.
func sysProcAttr(c command) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: c.account.credential(), Setpgid: !c.detached, Setsid: c.detached}
}

func lookup(pid int) entry {
	found, err := ps("-p", strconv.Itoa(pid))
	if err != nil || len(found) == 0 {
		return entry{}
	}

	return found[0]
}

func processes() ([]entry, error) { return ps("-A") }

func ps(which ...string) ([]entry, error) {
	args := append(which, "-o", "pid=,ppid=,stat=,lstart=")

	out, err := exec.CommandContext(context.Background(), "ps", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}

	var all []entry
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue
		}

		pid, err := strconv.Atoi(fields[0])
		if err != nil {
			continue
		}

		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			continue
		}

		born := strings.Join(fields[3:], " ")
		all = append(all, entry{process: process{PID: pid, Born: born}, parent: parent, state: fields[2][0]})
	}

	return all, nil
}
