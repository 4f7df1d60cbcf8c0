package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSpansReachTheCollector(t *testing.T) {
	t.Parallel()
	got := make(chan string, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got <- r.URL.Path
	}))
	defer collector.Close()
	traces, flush, err := newTracing(collector.URL, newLogger(io.Discard, "error", "text"))
	require.NoError(t, err)
	_, span := traces.Tracer("test").Start(context.Background(), "a span")
	span.End()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	flush(ctx)
	require.Equal(t, "/v1/traces", <-got)
}

func TestACollectorThatIsAwayCostsNothing(t *testing.T) {
	t.Parallel()
	traces, flush, err := newTracing("http://127.0.0.1:1", newLogger(io.Discard, "error", "text"))
	require.NoError(t, err)
	_, span := traces.Tracer("test").Start(context.Background(), "a span")
	span.End()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	flush(ctx) // returns, with nothing to report
}
