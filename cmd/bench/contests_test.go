package main // what is tested here is the program itself, which nothing can import

import (
	"io"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/bench/report"
)

func contestsOf(t *testing.T, args ...string) []contest {
	t.Helper()
	s, err := parseSettings(args, io.Discard)
	require.NoError(t, err)
	return s.chosen(s.contests("", ""))
}

func TestContests(t *testing.T) {
	t.Parallel()
	all := contestsOf(t)
	t.Run("are all that -only names", func(t *testing.T) {
		t.Parallel()
		var found []string
		for _, c := range all {
			if !slices.Contains(found, c.name) {
				found = append(found, c.name)
			}
		}
		require.Equal(t, contestNames(), found)
	})
	t.Run("have lines that differ, each of its own contest", func(t *testing.T) {
		t.Parallel()
		seen := map[report.Line]bool{}
		for _, c := range all {
			for _, v := range c.variants {
				require.False(t, seen[v.Line], "%v", v.Line)
				seen[v.Line] = true
				require.Equal(t, c.name, v.Workload)
				require.Equal(t, v.entrant.name, v.Variant[:1], "a variant begins with its contender")
				require.Equal(t, v.Queue, v.ground.QueueType)
				require.NotNil(t, v.measure)
			}
		}
	})
	t.Run("compare what takes turns with it", func(t *testing.T) {
		t.Parallel()
		for _, c := range all {
			var lines []report.Line
			for _, v := range c.variants {
				lines = append(lines, v.Line)
			}
			for _, comparison := range c.comparisons {
				require.Contains(t, lines, comparison.Of, comparison.Name)
				if comparison.To != nil {
					require.Contains(t, lines, *comparison.To, comparison.Name)
				}
			}
		}
	})
	t.Run("have these bars", func(t *testing.T) {
		t.Parallel()
		bars := map[string]float64{}
		for _, c := range all {
			for _, comparison := range c.comparisons {
				require.NotContains(t, bars, comparison.Name, "each has a name of its own")
				bars[comparison.Name] = comparison.Limit
			}
		}
		maps.DeleteFunc(bars, func(_ string, limit float64) bool { return limit == 0 })
		require.Equal(t, map[string]float64{
			"relay-quorum": 0.7, "relay-classic": 0.95, "stock-quorum": 20, "stock-classic": 12, "cpu-quorum": 20,
			"hot-chat": 0.9, "rejected": 0.8, "repeated": 0.8, "poisoned": 0.8, "mixed": 0.8, "stored": 0.8,
			"p99-classic-1000": 3, "memory": 64, "memory-held": 64, "memory-waiting": 1.25,
		}, bars)
	})
}

func TestChosenContests(t *testing.T) {
	t.Parallel()
	t.Run("are those of -only and -contenders", func(t *testing.T) {
		t.Parallel()
		chosen := contestsOf(t, "-only", "chats,drain", "-contenders", "A", "-queues", "classic")
		require.Len(t, chosen, 1, "chats has no A")
		require.Len(t, chosen[0].variants, 1)
		require.Equal(t, report.Line{Workload: "drain", Queue: "classic", Variant: "A bare relay"}, chosen[0].variants[0].Line)
	})
	t.Run("have their bars moved", func(t *testing.T) {
		t.Parallel()
		chosen := contestsOf(t, "-only", "chats", "-bar", "hot-chat=0.5", "-bar", "ten-chats=0.7")
		require.InDelta(t, 0.7, chosen[0].comparisons[0].Limit, 0)
		require.InDelta(t, 0.5, chosen[0].comparisons[1].Limit, 0)
	})
	t.Run("send no more than the broker is to keep", func(t *testing.T) {
		t.Parallel()
		for _, v := range contestsOf(t, "-only", "bodies", "-variant-messages", "1000000", "-waiting", "1000001")[0].variants {
			require.LessOrEqual(t, v.workload.Count*v.workload.BodyBytes, 160<<20)
		}
	})
}

func TestSize(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"100 B", "1 KiB", "1500 B", "16 KiB"}, []string{size(100), size(1024), size(1500), size(16384)})
}
