package process_test

import (
	"fmt"
	"io/fs"
	"os"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/bench/process"
)

func TestTableCPU(t *testing.T) {
	t.Parallel()
	// 1 ─ 10 ─┬─ 11 ─ 13
	//         └─ 12          and 20 beside them
	proc := fstest.MapFS{"uptime": {Data: []byte("1 2")}, "self": {Data: nil, Mode: fs.ModeSymlink}}
	for pid, line := range map[int]string{
		1:  line(0, 900, 900, 900, 900),
		10: line(1, 100, 50, 30, 20), // its ended children took 500 ms
		11: line(10, 10, 0, 0, 0),
		12: line(10, 0, 20, 0, 0),
		13: line(11, 1, 1, 0, 0),
		20: line(1, 700, 700, 700, 700),
	} {
		proc[fmt.Sprintf("%d/stat", pid)] = &fstest.MapFile{Data: []byte(line)}
	}
	table := process.NewTableAt(proc)

	t.Run("sums a process, all below it, and those that have ended", func(t *testing.T) {
		t.Parallel()
		got, err := table.CPU(10)
		require.NoError(t, err)
		require.Equal(t, 2320*time.Millisecond, got)
	})
	t.Run("counts a process without children alone", func(t *testing.T) {
		t.Parallel()
		got, err := table.CPU(13)
		require.NoError(t, err)
		require.Equal(t, 20*time.Millisecond, got)
	})
	t.Run("fails for a process that is not there", func(t *testing.T) {
		t.Parallel()
		_, err := table.CPU(99)
		require.ErrorIs(t, err, fs.ErrNotExist)
	})
	t.Run("knows parents", func(t *testing.T) {
		t.Parallel()
		got, err := table.Parent(13)
		require.NoError(t, err)
		require.Equal(t, 11, got)
	})
}

func line(parent, user, system, reapedUser, reapedSystem int) string {
	return fmt.Sprintf("1 (x) S %d 1 1 0 -1 0 0 0 0 0 %d %d %d %d 20 0 1", parent, user, system, reapedUser, reapedSystem)
}

func TestTableOfThisMachine(t *testing.T) {
	t.Parallel()
	table, err := process.NewTable()
	require.NoError(t, err)
	parent, err := table.Parent(os.Getpid())
	require.NoError(t, err)
	require.Equal(t, os.Getppid(), parent)
	memory, err := table.Memory(os.Getpid())
	require.NoError(t, err)
	require.Greater(t, memory.RSS, int64(1<<20))
	require.GreaterOrEqual(t, memory.PeakRSS, memory.RSS)
	_, err = table.CPU(os.Getpid())
	require.NoError(t, err)
}

func TestInMemory(t *testing.T) {
	t.Parallel()
	require.True(t, process.InMemory("/dev/shm"))
	require.False(t, process.InMemory("/proc"))
	require.False(t, process.InMemory("/does/not/exist"))
}
