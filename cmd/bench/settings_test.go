package main // what is tested here is the program itself, which nothing can import

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseSettings(t *testing.T) {
	t.Parallel()
	t.Run("without flags measures everything", func(t *testing.T) {
		t.Parallel()
		s, err := parseSettings(nil, io.Discard)
		require.NoError(t, err)
		require.Equal(t, names{"quorum", "classic"}, s.Queues)
		require.Equal(t, names{"A", "B", "C"}, s.Contenders)
		require.Equal(t, names(contestNames()), s.Only)
		require.Equal(t, 200_000, s.Messages)
		require.Equal(t, counts{200, 1_000, 5_000}, s.Rates)
	})
	t.Run("hurries where nothing else is given", func(t *testing.T) {
		t.Parallel()
		s, err := parseSettings([]string{"-quick", "-messages", "7000"}, io.Discard)
		require.NoError(t, err)
		require.Equal(t, 7000, s.Messages)
		require.Equal(t, 1, s.Rounds)
		require.Equal(t, 1, s.NarrowRounds)
		require.Equal(t, 10_000, s.VariantMessages)
	})
	t.Run("takes lists, pairs and times", func(t *testing.T) {
		t.Parallel()
		s, err := parseSettings([]string{
			"-queues", "classic", "-contenders=C,A", "-stock-poll", "1s",
			"-env", "PREFETCH=4000", "-env", "LOG_LEVEL=", "-postgres", "shared_buffers=1GB",
			"-only=chats,memory", "-rates", "10,20", "-bar", "hot-chat=0.5", "-bar", "p99-classic-10=4",
		}, io.Discard)
		require.NoError(t, err)
		require.Equal(t, names{"classic"}, s.Queues)
		require.Equal(t, names{"C", "A"}, s.Contenders)
		require.Equal(t, time.Second, s.Stock.Poll)
		require.Equal(t, pairs{"PREFETCH": "4000", "LOG_LEVEL": ""}, s.Environment)
		require.Equal(t, pairs{"shared_buffers": "1GB"}, s.Postgres)
		require.Equal(t, names{"chats", "memory"}, s.Only)
		require.Equal(t, counts{10, 20}, s.Rates)
		require.Equal(t, limits{"hot-chat": 0.5, "p99-classic-10": 4}, s.Bars)
	})
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"an unknown type of queue", []string{"-queues", "stream"}, `"stream"`},
		{"a contender twice", []string{"-contenders", "A,A"}, "twice"},
		{"no messages", []string{"-messages", "0"}, "-messages is 0"},
		{"a poll without a pause", []string{"-stock-poll", "0s"}, "-stock-poll"},
		{"a pair without a value", []string{"-postgres", "fsync"}, "name=value"},
		{"an unknown contest", []string{"-only", "drain,sprint"}, `"sprint"`},
		{"a bar that there is not", []string{"-bar", "speed=1"}, "hot-chat"},
		{"a bar that is no number", []string{"-bar", "hot-chat=high"}, `"high"`},
		{"a rate of nothing", []string{"-rates", "100,0"}, `"0"`},
		{"a length twice", []string{"-bodies", "100,100"}, "100 twice"},
		{"a moment as a steady rate", []string{"-steady", "1ms"}, "-steady"},
		{"a long queue that is short", []string{"-waiting", "10"}, "-waiting"},
		{"an argument", []string{"all"}, `unexpected argument "all"`},
		{"a flag that there is not", []string{"-fast"}, "-fast"},
	} {
		t.Run("refuses "+tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseSettings(tc.args, io.Discard)
			require.ErrorContains(t, err, tc.want)
		})
	}
	t.Run("reports all faults at once", func(t *testing.T) {
		t.Parallel()
		_, err := parseSettings([]string{"-rounds", "0", "-chats", "0"}, io.Discard)
		require.ErrorContains(t, err, "-rounds")
		require.ErrorContains(t, err, "-chats")
	})
	t.Run("explains itself", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		_, err := parseSettings([]string{"-h"}, &out)
		require.ErrorIs(t, err, flag.ErrHelp)
		require.Contains(t, out.String(), "go run ./cmd/bench")
		require.Contains(t, out.String(), "-stock-subscribers")
		for _, name := range contestNames() {
			require.Contains(t, out.String(), "\n  "+name+" ")
		}
	})
	t.Run("can be written into the report", func(t *testing.T) {
		t.Parallel()
		s, err := parseSettings([]string{"-env", "PREFETCH=1"}, io.Discard)
		require.NoError(t, err)
		text, err := json.Marshal(s)
		require.NoError(t, err)
		require.Contains(t, string(text), `"environment":{"PREFETCH":"1"}`)
	})
}
