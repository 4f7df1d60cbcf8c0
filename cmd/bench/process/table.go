package process

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"time"
)

// Table is the system's table of processes.
type Table struct {
	proc fs.FS
}

// NewTable returns the table of this machine, which must run Linux.
func NewTable() (*Table, error) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return nil, fmt.Errorf("looking for /proc, which only Linux has: %w", err)
	}
	return NewTableAt(os.DirFS("/proc")), nil
}

// NewTableAt returns the table that is laid out in proc as in /proc.
func NewTableAt(proc fs.FS) *Table { return &Table{proc: proc} }

// Parent returns the process that started pid.
func (t *Table) Parent(pid int) (int, error) {
	stat, err := t.stat(pid)
	return stat.Parent, err
}

// Memory returns the resident memory of the process.
func (t *Table) Memory(pid int) (Memory, error) {
	text, err := fs.ReadFile(t.proc, path.Join(strconv.Itoa(pid), "status"))
	if err != nil {
		return Memory{}, fmt.Errorf("reading the memory of process %d: %w", pid, err)
	}
	return ParseMemory(string(text))
}

// CPU returns the processor time that the process and everything below it have
// used, those that have ended included: a Postgres is a process a connection.
// It never falls, so the difference of two readings is what the time between
// them cost.
func (t *Table) CPU(root int) (time.Duration, error) {
	all, err := t.all()
	if err != nil {
		return 0, err
	}
	if _, alive := all[root]; !alive {
		return 0, fmt.Errorf("reading the times of process %d: %w", root, fs.ErrNotExist)
	}
	children := map[int][]int{}
	for pid, stat := range all {
		children[stat.Parent] = append(children[stat.Parent], pid)
	}
	var total time.Duration
	for members := []int{root}; len(members) > 0; {
		pid := members[0]
		members = append(members[1:], children[pid]...)
		total += all[pid].CPU + all[pid].Reaped
	}
	return total, nil
}

func (t *Table) all() (map[int]Stat, error) {
	entries, err := fs.ReadDir(t.proc, ".")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	all := map[int]Stat{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := t.stat(pid)
		switch {
		case err == nil:
			all[pid] = stat
		case ended(err): // since it was listed
		default:
			return nil, err
		}
	}
	return all, nil
}

func (t *Table) stat(pid int) (Stat, error) {
	text, err := fs.ReadFile(t.proc, path.Join(strconv.Itoa(pid), "stat"))
	if err != nil {
		return Stat{}, fmt.Errorf("reading the times of process %d: %w", pid, err)
	}
	return ParseStat(string(text))
}
