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
		require.Equal(t, 100_000, s.Messages)
		require.Equal(t, floors{Quorum: 0.5, Classic: 0.75, Stock: 10}, s.Floors)
	})
	t.Run("takes lists, pairs and times", func(t *testing.T) {
		t.Parallel()
		s, err := parseSettings([]string{
			"-queues", "classic", "-contenders=C,A", "-stock-poll", "1s",
			"-env", "PREFETCH=4000", "-env", "LOG_LEVEL=", "-postgres", "shared_buffers=1GB",
		}, io.Discard)
		require.NoError(t, err)
		require.Equal(t, names{"classic"}, s.Queues)
		require.Equal(t, names{"C", "A"}, s.Contenders)
		require.Equal(t, time.Second, s.Stock.Poll)
		require.Equal(t, pairs{"PREFETCH": "4000", "LOG_LEVEL": ""}, s.Environment)
		require.Equal(t, pairs{"shared_buffers": "1GB"}, s.Postgres)
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
		{"a check of what does not run", []string{"-check", "-contenders", "A,C"}, "-check needs all"},
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
