package instance

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

func sysProcAttr(c command) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Credential: c.account.credential()}
	if c.detached {
		attr.Setsid = true
		return attr
	}
	// A group of its own, so that Ctrl-C in the terminal reaches the test and
	// not the server that the test still wants to stop in order.
	attr.Setpgid = true
	attr.Pdeathsig = c.deathSignal

	return attr
}

// lookup returns a zero entry where there is no such process.
func lookup(pid int) entry {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return entry{}
	}
	// "pid (name) state parent …": the name may contain anything, so the
	// fields are counted from the last bracket. See proc_pid_stat(5).
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")

	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return entry{}
	}

	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return entry{}
	}

	return entry{process: process{PID: pid, Born: fields[19]}, parent: parent, state: fields[0][0]}
}

func processes() ([]entry, error) {
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("listing processes: /proc is not readable")
	}

	var all []entry
	for _, name := range names {
		pid, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			continue
		}
		if e := lookup(pid); e.state != 0 {
			all = append(all, e)
		}
	}

	return all, nil
}
