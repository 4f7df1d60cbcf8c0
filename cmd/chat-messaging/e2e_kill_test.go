package main

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/queries/queriestest"
)

// kills is how often the service dies in a run.
const kills = 10

// The service is killed at random moments of a run, also while it starts, and
// started again each time. Nothing is lost, nothing is stored twice or
// dispatched as two events, and the order holds once repeats are dropped.
// E2E_MESSAGES makes the run longer, E2E_SEED repeats one.
func TestDispatchSurvivesTheDeathOfTheService(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	for _, queueType := range []string{"classic", "quorum"} {
		t.Run(queueType, func(t *testing.T) {
			t.Parallel()
			c := newCornerAt(t, s.rabbit.URL(), queriestest.SchemaURLAt(t, s.postgres.URL()),
				"QUEUE_TYPE="+queueType, "PREFETCH=2000", "BATCH_SIZE=1000")
			random := newRandom(t)
			n := scale(t, "E2E_MESSAGES", 4000)
			o, r := newOracle(c, random, n), c.record(queueType)

			service := start(t, c.environ, "serve")
			service.said("one instance at a time consumes the queue") // which is there from now on
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			sent := make(chan error, 1)
			go func() { sent <- o.send(ctx, n, func() int { return r.distinct() + n/10 + 1 }) }()

			for i := range kills {
				awaitMoment(ctx, random, r, n*i/(kills+1)+random.IntN(n/(kills+1)))
				require.True(t, service.running(), "it ended by itself")
				service.kill()
				service = start(t, c.environ, "serve")
			}
			require.NoError(t, <-sent)
			r.await(n)
			// The last one may just be starting: what it takes over is settled by
			// it only once it consumes and leads.
			o.awaitSettled()
			service.stop()
			o.requireStored(t)
			repeats := o.requireDispatched(t, r.all())
			o.requireNothingLeft(t)
			require.LessOrEqual(t, repeats, kills*1000, "no more than a window of the relay for each kill")
			t.Logf("%s: %d messages, %d kills, %d repeated publishes", queueType, n, kills, repeats)
		})
	}
}

// awaitMoment returns at a random moment: in the midst of work, a little after
// the n-th event has been seen, or, one time out of four, soon after the start,
// whatever the service is doing then.
func awaitMoment(ctx context.Context, random *rand.Rand, r *recorder, n int) {
	if random.IntN(4) == 0 {
		wait(ctx, time.Duration(random.IntN(1500))*time.Millisecond)
		return
	}
	r.await(n)
	wait(ctx, time.Duration(random.IntN(50_000))*time.Microsecond)
}
