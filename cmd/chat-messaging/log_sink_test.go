package main

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A reader that does not read loses records, and is told how many; who logs does
// not wait for it.
func TestAStuckLogHoldsUpNobody(t *testing.T) {
	t.Parallel()
	read, write := io.Pipe()
	sink := newLogSink(write, "info", "json")
	logger := newLogger(sink, "info", "json")
	for range maxLogBacklog + 100 {
		logger.Info("x")
	}
	text := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(read)
		text <- string(all)
	}()
	sink.Close()
	logger.Info("after the end")
	sink.Close()
	require.NoError(t, write.Close())
	said := <-text
	require.Contains(t, said, "log records were dropped")
	records := strings.Count(said, `"msg":"x"`)
	require.GreaterOrEqual(t, records, maxLogBacklog)
	require.Less(t, records, maxLogBacklog+100)
	require.NotContains(t, said, "after the end")
}

// In order, everything is written before the end.
func TestALogIsWrittenToItsEnd(t *testing.T) {
	t.Parallel()
	var out output
	sink := newLogSink(&out, "info", "text")
	logger := newLogger(sink, "info", "text")
	for range 1000 {
		logger.Info("x")
	}
	sink.Close()
	require.Equal(t, 1000, strings.Count(out.String(), "msg=x"))
}
