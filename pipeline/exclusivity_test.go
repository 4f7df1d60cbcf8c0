package pipeline_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// takeover bounds how long a queue is without a consumer when the active one
// goes.
const takeover = 5 * time.Second

// replica is one of several instances that subscribe to a queue.
type replica struct {
	*pipeline.Subscriber
	msgs  <-chan *message.Message
	state atomic.Value
	db    *queries.DB
	link  *link
}

// replica starts an instance; its lock, should it need one, is in a session of
// its own.
func (w *wire) replica(queue, schema string, change ...func(*pipeline.SubscriberConfig)) *replica {
	w.t.Helper()
	r := &replica{link: newLink(w.t, brokerURL()), db: queriestest.Open(w.t, schema, false)}
	r.state.Store(pipeline.Waiting)
	r.Subscriber = w.subscriber(r.link.url, append(change, func(c *pipeline.SubscriberConfig) {
		c.Exclusive = true
		c.Lock = func(ctx context.Context, topic string) (pipeline.Lock, error) {
			lock, err := r.db.TryLock(ctx, topic)
			if lock == nil || err != nil {
				return nil, err
			}
			return lock, nil
		}
		c.OnState = func(s pipeline.State) { r.state.Store(s) }
	})...)
	r.msgs = subscribe(w.t, r.Subscriber, queue)
	return r
}

func (r *replica) is(s pipeline.State) bool { return r.state.Load() == s }

// modes are the queues, and how each is kept to one consumer.
var modes = map[pipeline.Exclusivity]amqp.Table{
	pipeline.ExclusiveConsumer:    nil,
	pipeline.SingleActiveConsumer: {"x-queue-type": "quorum", "x-single-active-consumer": true},
	pipeline.AdvisoryLock:         {"x-queue-type": "quorum"},
}

func TestOneOfTwoReplicasConsumesUntilItGoes(t *testing.T) {
	t.Parallel()
	for mode, args := range modes {
		for how, leave := range map[string]func(*replica){
			"closes":               func(r *replica) { go func() { _ = r.Close() }() },
			"loses its connection": func(r *replica) { r.link.cut() },
		} {
			t.Run(string(mode)+" "+how, func(t *testing.T) {
				t.Parallel()
				w := newWire(t)
				queue, schema := w.queue(args), queriestest.SchemaURL(t)
				active := w.replica(queue, schema)
				until(t, "the first consumes", func() bool { return active.is(pipeline.Consuming) })
				standby := w.replica(queue, schema)
				if mode == pipeline.SingleActiveConsumer {
					// The broker holds the second one back, and nobody is told.
					until(t, "the second has asked", func() bool { return standby.is(pipeline.Consuming) })
				} else {
					until(t, "the second stands by", func() bool { return standby.is(pipeline.Standby) })
				}
				w.fill(queue, numbered(0, 30)...)
				for _, msg := range receive(t, active.msgs, 30)[:10] {
					msg.Ack()
				}
				require.Empty(t, received(standby), "two consume at the same time")
				within(t, takeover, func() {
					leave(active)
					require.Equal(t, numbers(10, 30), bodies(receive(t, standby.msgs, 20)), "the order is lost")
				})
			})
		}
	}
}

// received returns what has come without waiting long.
func received(r *replica) []string {
	var out []string
	for {
		select {
		case msg := <-r.msgs:
			out = append(out, string(msg.Payload))
		case <-time.After(100 * time.Millisecond):
			return out
		}
	}
}

func TestWhoLosesTheLockStopsConsuming(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue, schema := w.queue(modes[pipeline.AdvisoryLock]), queriestest.SchemaURL(t)
	active := w.replica(queue, schema)
	w.fill(queue, numbered(0, 5)...)
	window := receive(t, active.msgs, 5)
	standby := w.replica(queue, schema)
	until(t, "the second stands by", func() bool { return standby.is(pipeline.Standby) })
	within(t, takeover, func() {
		terminateLockHolder(t, standby.db, queue)
		select { // whoever has the lock now
		case <-active.msgs:
		case <-standby.msgs:
		case <-time.After(patience):
			require.FailNow(t, "nobody has taken over")
		}
		ended(t, window[0].Context())
	})
}

// terminateLockHolder ends the session that holds the lock of a topic, as a
// failing database does.
func terminateLockHolder(t testing.TB, db *queries.DB, topic string) {
	t.Helper()
	var ended []bool
	require.NoError(t, db.SelectContext(context.Background(), &ended, `
		SELECT pg_terminate_backend(pid) FROM pg_locks
		WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()
		  AND classid = (hashtext($1)::bigint & 4294967295)::oid
		  AND objid = (hashtext(current_schema())::bigint & 4294967295)::oid`, topic))
	require.Equal(t, []bool{true}, ended, "nobody held the lock")
}

// reports collects what a logger is told.
type reports struct {
	slog.Handler
	records chan slog.Record
}

func newReports() *reports {
	return &reports{Handler: slog.DiscardHandler, records: make(chan slog.Record, 10_000)}
}

func (r *reports) Enabled(context.Context, slog.Level) bool { return true }
func (r *reports) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *reports) WithGroup(string) slog.Handler            { return r }
func (r *reports) Handle(_ context.Context, record slog.Record) error {
	r.records <- record
	return nil
}

// next returns the attributes of the next report with that message.
func (r *reports) next(t testing.TB, text string) map[string]string {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case record := <-r.records:
			if record.Message != text {
				continue
			}
			attrs := map[string]string{}
			record.Attrs(func(a slog.Attr) bool {
				attrs[a.Key] = a.Value.String()
				return true
			})
			return attrs
		case <-timeout:
			require.FailNow(t, "nobody reported: "+text)
		}
	}
}

const exclusivityReport = "one instance at a time consumes the queue"

func TestTheMeansOfAQueueAreFoundByItsArguments(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args    amqp.Table
		by      pipeline.Exclusivity
		found   string
		durable bool
	}{
		"a classic queue": {by: pipeline.ExclusiveConsumer, found: "map[]", durable: true},
		"a classic queue that says so": {
			args: amqp.Table{"x-queue-type": "classic"}, by: pipeline.ExclusiveConsumer, found: "map[]", durable: true,
		},
		"a classic queue with limits": {
			args: amqp.Table{
				"x-max-length": int32(1000), "x-message-ttl": int64(60000), "x-max-priority": int8(5), "x-overflow": "reject-publish",
				"x-queue-mode": "lazy", "x-dead-letter-exchange": "dead", "x-dead-letter-routing-key": "it's a 'key'",
			},
			by: pipeline.ExclusiveConsumer, durable: true,
			found: "map[x-dead-letter-exchange:dead x-dead-letter-routing-key:it's a 'key' x-max-length:1000 x-max-priority:5 " +
				"x-message-ttl:60000 x-overflow:reject-publish x-queue-mode:lazy]",
		},
		"a classic queue with a single active consumer": {
			args: amqp.Table{"x-single-active-consumer": true}, by: pipeline.SingleActiveConsumer,
			found: "map[x-single-active-consumer:true]", durable: true,
		},
		"a queue without the single active consumer in words": {
			args: amqp.Table{"x-single-active-consumer": false}, by: pipeline.ExclusiveConsumer,
			found: "map[x-single-active-consumer:false]", durable: true,
		},
		"a quorum queue": {
			args: amqp.Table{"x-queue-type": "quorum"}, by: pipeline.AdvisoryLock, found: "map[x-queue-type:quorum]", durable: true,
		},
		"a quorum queue with everything": {
			args: amqp.Table{
				"x-queue-type": "quorum", "x-single-active-consumer": true, "x-delivery-limit": int32(20),
				"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "poison", "x-max-length-bytes": int64(1 << 40),
				"x-dead-letter-strategy": "at-most-once",
			},
			by: pipeline.SingleActiveConsumer, durable: true,
			found: "map[x-dead-letter-exchange: x-dead-letter-routing-key:poison x-dead-letter-strategy:at-most-once " +
				"x-delivery-limit:20 x-max-length-bytes:1099511627776 x-queue-type:quorum x-single-active-consumer:true]",
		},
		"a queue that is gone with the broker": {by: pipeline.AdvisoryLock, found: "map[]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			queue := w.name()
			declare := func(ch *amqp.Channel) error {
				_, err := ch.QueueDeclare(queue, c.durable, false, false, false, c.args)
				return err
			}
			w.on(declare)
			w.fill(queue, numbered(0, 1)...)
			told := newReports()
			r := w.replica(queue, queriestest.SchemaURL(t), func(c *pipeline.SubscriberConfig) { c.Logger = slog.New(told) })
			report := told.next(t, exclusivityReport)
			require.Equal(t, string(c.by), report["by"])
			require.Equal(t, c.found, report["arguments"])
			receive(t, r.msgs, 1)[0].Ack()
			require.NoError(t, r.Close())
			w.on(declare) // it is the same queue as before
			until(t, "the message is acknowledged", func() bool { n, _ := w.state(queue); return n == 0 })
		})
	}
}

// Looking must never create: a queue that was deleted a moment ago would come
// back with nothing that it should have.
func TestLookingAtAMissingQueueDoesNotCreateIt(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.name()
	told := newReports()
	w.replica(queue, queriestest.SchemaURL(t), func(c *pipeline.SubscriberConfig) { c.Logger = slog.New(told) })
	for range 3 {
		told.next(t, "consuming was interrupted")
	}
	err := w.try(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		return err
	})
	require.ErrorContains(t, err, "404")
}
