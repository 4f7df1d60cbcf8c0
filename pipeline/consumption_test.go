package pipeline_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// setPaused is what the operator's commands do.
func (b *bench) setPaused(paused bool) {
	b.t.Helper()
	setPaused(b.t, b.db, b.topology.DatabaseQueue, paused)
}

func setPaused(t testing.TB, db *queries.DB, queue string, paused bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, changed, err := db.SetConsumption(ctx, queue, paused, queries.Operator{Who: "ann", Via: "cli"}, "a test")
	require.NoError(t, err)
	require.True(t, changed)
}

func (s *service) awaitState(want pipeline.State) {
	s.b.t.Helper()
	until(s.b.t, "the consumer is "+string(want), func() bool { return s.pipeline.State() == want })
}

// Every replica obeys, in full flow, again and again and over a restart. What
// is in hand is settled: nothing is lost, nothing handled twice, and the order
// stays, also where another replica stands by.
func TestPausingIsObeyedByEveryReplicaAndLosesNothing(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{pipeline.QueueClassic, pipeline.QueueQuorum} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, withQueueType(kind))
			events := b.dispatcher()
			const n = 6000
			bodies := make([]string, n)
			chat := queriestest.Chat(t, b.db, 1, 2)
			for i := range bodies {
				bodies[i] = say(chat, 1, 2, fmt.Sprint(i), "x")
			}
			b.send(bodies...)
			replicas := []*service{b.serve(), b.serve()}

			for round := range 3 {
				settled := len(next(t, events, 200))
				require.Equal(t, 200, settled)
				b.setPaused(true)
				for _, s := range replicas {
					s.awaitState(pipeline.Paused)
					require.NoError(t, s.pipeline.Err(), "a pause is no fault")
					require.Zero(t, s.pipeline.InHand())
					require.Equal(t, "ann", s.pipeline.Consumption().ChangedBy)
				}
				// All that the broker has handed over is settled, and it has the rest.
				require.Equal(t, n, b.count("messages")+b.depth(b.topology.DatabaseQueue))
				if round == 1 {
					replicas[0].stopAll()
					replicas[0] = b.serve()
					replicas[0].awaitState(pipeline.Paused)
					require.Empty(t, outcomes(t, replicas[0].registry), "a restart does not resume")
				}
				b.setPaused(false)
			}
			rest := next(t, events, n-3*200)
			require.Equal(t, fmt.Sprint(n-1), *rest[len(rest)-1].ClientMessageID, "in the order sent")
			require.Equal(t, n, b.count("messages"))
			for _, s := range replicas {
				for _, key := range slices.Sorted(maps.Keys(outcomes(t, s.registry))) {
					require.Equal(t, "accepted/", key, "nothing is handled twice")
				}
			}
			var disordered int
			require.NoError(t, b.db.Get(&disordered, `SELECT count(*) FROM messages WHERE seq <> client_message_id::bigint + 1`))
			require.Zero(t, disordered)
		})
	}
}

// While Postgres is away nobody can say whether the queue is paused; then what
// was heard last holds.
func TestAPauseHoldsWhilePostgresIsAway(t *testing.T) {
	t.Parallel()
	direct := queriestest.SchemaURL(t)
	line := newLink(t, direct)
	b := newBenchAt(t, brokerURL(), line.url)
	db := queriestest.Open(t, direct, false)
	asked := make(chan struct{}, 1000)
	s := b.serve(func(c *pipeline.Config) {
		c.Logger = slog.New(&listener{Handler: slog.DiscardHandler, text: "cannot tell whether the queue is paused", heard: asked})
	})
	s.awaitState(pipeline.Consuming)
	setPaused(t, db, b.topology.DatabaseQueue, true)
	s.awaitState(pipeline.Paused)
	line.cut()
	<-asked
	<-asked
	require.Equal(t, pipeline.Paused, s.pipeline.State())
	require.True(t, s.pipeline.Consumption().Paused)
	line.restore()
	setPaused(t, db, b.topology.DatabaseQueue, false)
	s.awaitState(pipeline.Consuming)
}

// listener is a log handler that tells of records with a text.
type listener struct {
	slog.Handler
	text  string
	heard chan<- struct{}
}

func (l *listener) Enabled(context.Context, slog.Level) bool { return true }

func (l *listener) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, l.text) {
		select {
		case l.heard <- struct{}{}:
		default:
		}
	}
	return nil
}

func (l *listener) WithAttrs([]slog.Attr) slog.Handler { return l }

// A gate that shuts in full flow must not let an acknowledgement cover a
// message that nobody has seen.
func TestAGateThatShutsInFullFlowLosesNothing(t *testing.T) {
	t.Parallel()
	for _, inFlight := range []int{1, 50} {
		t.Run(fmt.Sprint(inFlight, " in flight"), func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			queue := w.queue(nil)
			const n = 3000
			w.fill(queue, numbered(0, n)...)
			gate := pipeline.NewGate()
			s := w.subscriber(brokerURL(), func(c *pipeline.SubscriberConfig) {
				c.Gate, c.Prefetch, c.InFlight, c.Drain = gate, 50, inFlight, patience
				c.OnState = func(s pipeline.State) {
					if s == pipeline.Paused {
						gate.Set(true)
					}
				}
			})
			msgs := subscribe(t, s, queue)
			for i := range n {
				msg := receive(t, msgs, 1)[0]
				require.Equal(t, fmt.Sprint(i), string(msg.Payload), "each once and in order")
				if i%100 == 0 {
					gate.Set(false) // until the subscriber says that it is held back
				}
				msg.Ack()
			}
			require.NoError(t, s.Close())
			ready, _ := w.state(queue)
			require.Zero(t, ready)
		})
	}
}

func TestCloseEndsASubscriptionThatIsHeldBack(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	gate := pipeline.NewGate()
	gate.Set(false)
	gate.Set(false)
	states := make(chan pipeline.State, 10)
	s := w.subscriber(brokerURL(), func(c *pipeline.SubscriberConfig) {
		c.Gate, c.OnState = gate, func(s pipeline.State) { states <- s }
	})
	msgs := subscribe(t, s, w.queue(nil))
	select {
	case state := <-states:
		require.Equal(t, pipeline.Paused, state)
	case <-time.After(patience):
		require.FailNow(t, "nobody is held back")
	}
	require.NoError(t, s.Close())
	_, open := <-msgs
	require.False(t, open)
}
