package main // what is tested here is the program itself, which nothing can import

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/bench/report"
)

func TestInTurn(t *testing.T) {
	t.Parallel()
	all := []entrant{{name: "A"}, {name: "B"}, {name: "C"}}
	order := func(round int) (text string) {
		for _, e := range inTurn(all, round) {
			text += e.name
		}
		return text
	}
	require.Equal(t, []string{"ABC", "BCA", "CAB", "ABC"}, []string{order(0), order(1), order(2), order(3)})
	require.Equal(t, "A", all[0].name, "the list itself stays as it is")
}

func TestSortSamples(t *testing.T) {
	t.Parallel()
	b := &bench{settings: settings{Queues: names{"quorum", "classic"}}}
	samples := []report.Sample{
		{Queue: "classic", Contender: "A", Round: 1},
		{Queue: "quorum", Contender: "C", Round: 1},
		{Queue: "quorum", Contender: "A", Round: 2},
		{Queue: "quorum", Contender: "A", Round: 1},
	}
	b.sort(samples)
	require.Equal(t, []report.Sample{
		{Queue: "quorum", Contender: "A", Round: 2},
		{Queue: "quorum", Contender: "A", Round: 1},
		{Queue: "quorum", Contender: "C", Round: 1},
		{Queue: "classic", Contender: "A", Round: 1},
	}, samples, "by queue and contender, rounds as they were")
}

func TestFloors(t *testing.T) {
	t.Parallel()
	s, err := parseSettings([]string{"-queues", "classic", "-floor-classic", "0.9", "-floor-stock", "12"}, io.Discard)
	require.NoError(t, err)
	b := &bench{settings: s, entrants: entrants(s, "", "")}
	require.Equal(t, []report.Floor{
		{Queue: "classic", Of: "C ours", To: "A bare relay", Least: 0.9},
		{Queue: "classic", Of: "C ours", To: "B stock Watermill", Least: 12},
	}, b.floors())
}

func TestUsageSince(t *testing.T) {
	t.Parallel()
	before := usage{contender: time.Second, postgres: 2 * time.Second, rabbitmq: 3 * time.Second}
	after := usage{contender: 3 * time.Second, postgres: 2 * time.Second, rabbitmq: 3500 * time.Millisecond}
	require.Equal(t, report.CPU{Contender: 20, Postgres: 0, RabbitMQ: 5}, after.since(before, 100_000))
}

func TestRun(t *testing.T) {
	t.Parallel()
	t.Run("exits 2 for a wrong flag, and says which", func(t *testing.T) {
		t.Parallel()
		var said bytes.Buffer
		require.Equal(t, exitUsage, run(t.Context(), []string{"-rounds", "0"}, io.Discard, &said))
		require.Contains(t, said.String(), "-rounds is 0")
	})
	t.Run("exits 0 for help", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, exitOK, run(t.Context(), []string{"-help"}, io.Discard, io.Discard))
	})
	t.Run("exits 1 where a child has no setup or no name that is known", func(t *testing.T) {
		t.Parallel()
		var said bytes.Buffer
		require.Equal(t, exitFailed, runChild(t.Context(), "relay", "", &said))
		require.Equal(t, exitFailed, runChild(t.Context(), "other", "{}", &said))
		require.Contains(t, said.String(), "there are relay, stock")
	})
	t.Run("tells a child from the program", func(t *testing.T) {
		t.Parallel()
		name, ok := asChild([]string{"child", "stock"})
		require.True(t, ok)
		require.Equal(t, "stock", name)
		_, ok = asChild([]string{"-check"})
		require.False(t, ok)
	})
}
