package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What send publishes is what watch prints: every message once, and each chat's
// in the order in which they were sent. E2E_MESSAGES makes the run longer.
func TestAllThatIsSentIsWatched(t *testing.T) {
	t.Parallel()
	for _, queueType := range []string{"classic", "quorum"} {
		t.Run(queueType, func(t *testing.T) {
			t.Parallel()
			c := newCorner(t, "QUEUE_TYPE="+queueType, "PREFETCH=2000", "BATCH_SIZE=1000")
			n := scale(t, "E2E_MESSAGES", 3000)
			o := newOracle(c, newRandom(t), n)
			service := start(t, c.environ, "serve")
			awaitReady(t, service.url())
			watch := c.watch([]string{""}, "--output", "json", "--count", fmt.Sprint(n))

			began := time.Now()
			sent := c.execute(t.Context(), strings.Join(o.bodies, "\n"), "send")
			require.Equal(t, exitOK, sent.code, sent.stderr)
			watched := watch.result()
			require.Equal(t, exitOK, watched.code, watched.stderr)
			t.Logf("%s: %d messages in %s", queueType, n, time.Since(began).Round(time.Millisecond))
			require.Contains(t, watched.stderr, fmt.Sprintf("%d events, 0 repeated dispatches dropped", n))

			var events []dispatched
			for line := range strings.Lines(watched.stdout) {
				var e dispatched
				require.NoError(t, json.Unmarshal([]byte(line), &e))
				e.EventID, e.Raw = e.ID, line
				events = append(events, e)
			}
			require.Len(t, events, n)
			service.stop()
			o.requireStored(t)
			require.Zero(t, o.requireDispatched(t, events))
			o.requireNothingLeft(t)
		})
	}
}
