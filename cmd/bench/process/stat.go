package process

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc/PID/stat: USER_HZ, which is 100 wherever Go
// runs on Linux.
const tick = 10 * time.Millisecond

// Stat is what /proc/PID/stat says of a process.
type Stat struct {
	Parent int
	// CPU is the user and system time of the process, all its threads included,
	// those that have ended too.
	CPU time.Duration
	// Reaped is the same of its children that have ended and been waited for.
	Reaped time.Duration
}

// ParseStat reads the text of /proc/PID/stat.
func ParseStat(text string) (Stat, error) {
	// "pid (name) state parent …": the name may contain anything, brackets and
	// blanks too, so the fields are counted from the last bracket.
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const parent, firstTime, pastTimes = 1, 11, 15 // utime, stime, cutime, cstime
	if len(fields) < pastTimes {
		return Stat{}, errors.New("parsing the state of a process: it has too few fields")
	}
	var stat Stat
	var err error
	if stat.Parent, err = strconv.Atoi(fields[parent]); err != nil {
		return Stat{}, fmt.Errorf("parsing the state of a process: %w", err)
	}
	for i, field := range fields[firstTime:pastTimes] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return Stat{}, fmt.Errorf("parsing the state of a process: %w", err)
		}
		if i < 2 {
			stat.CPU += time.Duration(ticks) * tick
		} else {
			stat.Reaped += time.Duration(ticks) * tick
		}
	}
	return stat, nil
}

// Memory is resident memory, in bytes.
type Memory struct {
	// RSS is what the process has now, PeakRSS the most that it ever had. The
	// kernel counts the peak anew at exec, unlike the figure in rusage, which for a
	// child of a big process starts with the parent's.
	RSS, PeakRSS int64
}

// ParseMemory reads the text of /proc/PID/status.
func ParseMemory(text string) (Memory, error) {
	var m Memory
	var found int
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		var field *int64
		switch name {
		case "VmRSS":
			field = &m.RSS
		case "VmHWM":
			field = &m.PeakRSS
		default:
			continue
		}
		kibibytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err != nil {
			return Memory{}, fmt.Errorf("parsing the memory of a process: %w", err)
		}
		*field = kibibytes << 10
		found++
	}
	if found < 2 {
		return Memory{}, errors.New("parsing the memory of a process: it has none, so it has ended")
	}
	return m, nil
}
