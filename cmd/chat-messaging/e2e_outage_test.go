package main

import (
	"context"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/queries/queriestest"
)

// outage is how long a server is away: E2E_OUTAGE, such as 60s, or the usual.
func outage(t testing.TB, usual time.Duration) time.Duration {
	t.Helper()
	given := os.Getenv("E2E_OUTAGE")
	if given == "" {
		return usual
	}
	d, err := time.ParseDuration(given)
	require.NoError(t, err)
	return d
}

// Postgres is away in the midst of a run, for longer than the service holds its
// window, and then RabbitMQ is. Messages come all the time. In the end all of
// them are stored and dispatched, and none was parked or rejected for it.
// E2E_OUTAGE makes the outages longer, E2E_MESSAGES the run.
func TestNoOutageParksOrRejectsAMessage(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	c := newCornerAt(t, s.rabbit.URL(), queriestest.SchemaURLAt(t, s.postgres.URL()),
		"QUEUE_TYPE=quorum", "PREFETCH=2000", "BATCH_SIZE=1000")
	n := scale(t, "E2E_MESSAGES", 4000)
	o, r := newOracle(c, newRandom(t), n), c.record("quorum")
	service := start(t, c.environ, "serve")
	url := service.url()
	awaitReady(t, url)

	var limit atomic.Int64 // as many messages may have been sent
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- o.send(ctx, n, func() int { return int(limit.Load()) }) }()
	limit.Store(int64(n / 4))
	r.await(n / 8)

	began := time.Now()
	require.NoError(t, s.postgres.Stop(within(t, 2*patience)))
	limit.Store(int64(n / 2))
	eventually(t, "the broker takes messages all the same", func() bool { return o.done.Load() == int64(n/2) })
	awaitNotReady(t, url, "database", "connection refused")
	eventually(t, "the window is given back", func() bool {
		waiting, consumers := c.inspect(c.config().DatabaseQueueName)
		return consumers == 0 && waiting >= n/4 // those sent meanwhile, at least
	})
	wait(ctx, outage(t, 12*time.Second)-time.Since(began))
	require.Equal(t, http.StatusOK, status(t, url+"/healthz"), "it must not be restarted for this")
	require.NoError(t, s.postgres.Start(within(t, 2*patience)))
	t.Logf("Postgres was away for %s", time.Since(began).Round(time.Millisecond))
	limit.Store(int64(n * 3 / 4))
	r.await(n * 5 / 8)

	began = time.Now()
	require.NoError(t, s.rabbit.Stop(within(t, 2*patience)))
	limit.Store(int64(n)) // in vain
	awaitNotReady(t, url, "broker", "connection refused")
	wait(ctx, outage(t, 5*time.Second)-time.Since(began))
	require.NoError(t, s.rabbit.Start(within(t, 2*patience)))
	t.Logf("RabbitMQ was away for %s", time.Since(began).Round(time.Millisecond))

	r.await(n)
	o.awaitSent(sent)
	awaitReady(t, url)
	for labels, value := range metric(t, url, "chat_messaging_outcomes_total") {
		if strings.Contains(labels, "rejected") || strings.Contains(labels, "poisoned") {
			require.Zero(t, value, labels)
		}
	}
	service.stop()
	o.requireStored(t)
	repeats := o.requireDispatched(t, r.all())
	o.requireNothingLeft(t)
	t.Logf("%d messages, %d repeated publishes", n, repeats)
}
