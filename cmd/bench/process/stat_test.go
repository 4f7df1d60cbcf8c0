package process_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/bench/process"
)

// stat is the line of a process, in ticks of 10 ms.
const stat = "4711 (a) b (c)) S 42 4711 4711 0 -1 4194560 2315 12 3 4 150 50 7 3 20 0 9 0 123456 1000 200 18446744073709551615\n"

func TestParseStat(t *testing.T) {
	t.Parallel()
	t.Run("counts fields behind a name with brackets and blanks", func(t *testing.T) {
		t.Parallel()
		got, err := process.ParseStat(stat)
		require.NoError(t, err)
		require.Equal(t, process.Stat{Parent: 42, CPU: 2 * time.Second, Reaped: 100 * time.Millisecond}, got)
	})
	for _, text := range []string{
		"", "no bracket at all", "1 (x) S 1 2 3",
		"1 (x) S one 4711 4711 0 -1 4194560 2315 12 3 4 150 50 7 3 20",
		"1 (x) S 1 4711 4711 0 -1 4194560 2315 12 3 4 150 fifty 7 3 20",
	} {
		t.Run("refuses "+text, func(t *testing.T) {
			t.Parallel()
			_, err := process.ParseStat(text)
			require.ErrorContains(t, err, "parsing the state of a process")
		})
	}
}

func TestParseMemory(t *testing.T) {
	t.Parallel()
	got, err := process.ParseMemory("Name:\tbench\nVmPeak:\t 1000 kB\nVmHWM:\t   20480 kB\nVmRSS:\t 1 kB\n")
	require.NoError(t, err)
	require.Equal(t, process.Memory{RSS: 1 << 10, PeakRSS: 20 << 20}, got)

	_, err = process.ParseMemory("Name:\tbench\nState:\tZ (zombie)\n")
	require.ErrorContains(t, err, "it has ended")
	_, err = process.ParseMemory("VmHWM:\tmany kB\n")
	require.ErrorContains(t, err, "parsing the memory")
}
