package http_test

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	rest "chat-messaging/http"
)

// follow opens a live part and returns its events, one each time that next is
// called, and the status.
func (v *visitor) follow(t testing.TB, path string) (next func() string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, v.url+path, nil)
	require.NoError(t, err)
	patient := *v.client
	patient.Timeout = 0
	response, err := patient.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	lines := bufio.NewReader(response.Body)
	return func() string {
		var event strings.Builder
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return ""
			}
			if line == "\n" && event.Len() > 0 {
				return event.String()
			}
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				event.WriteString(data)
			}
		}
	}, response.StatusCode
}

func TestALivePartOutlivesTheTimesOfTheAPI(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	b := start(t, operated, func(c *rest.Config) {
		c.ReadTimeout, c.WriteTimeout = time.Second, time.Second
		c.Queues = func(context.Context) (input, poison rest.Queue, err error) {
			if broken.Load() {
				return input, poison, errors.New("connection refused")
			}
			return input, poison, nil
		}
	})
	b.beat(t)
	next, status := b.visit(t, viewerSecret).follow(t, "/console/live")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, next(), "Healthy")
	for range 2 { // each comes seconds after the one before
		require.NotEmpty(t, next())
	}
	broken.Store(true)
	for event := next(); !strings.Contains(event, "connection refused"); event = next() {
		require.NotEmpty(t, event, "the stream has ended")
	}
}

func TestLivePartsEndWithTheServer(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	next, _ := b.visit(t, viewerSecret).follow(t, "/console/poisoned/live")
	require.NotEmpty(t, next())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, b.server.Shutdown(ctx), "what lasts for ever must not hold up the end")
	require.Empty(t, next())
}

func TestLivePartsAreBounded(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	v := b.visit(t, viewerSecret)
	for range 32 {
		next, status := v.follow(t, "/console/poisoned/live")
		require.Equal(t, http.StatusOK, status)
		require.NotEmpty(t, next())
	}
	_, status := v.follow(t, "/console/poisoned/live")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, http.StatusOK, v.get(t, "/console/poisoned").status, "the pages go on")
}
