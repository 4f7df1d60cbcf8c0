package poison_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
	"chat-messaging/pipeline/poison"
	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// patience bounds every wait of a test: far beyond what anything takes, so that
// only a real fault meets it.
const patience = 60 * time.Second

func brokerURL() string {
	if given := os.Getenv("RABBITMQ_URL"); given != "" {
		return given
	}
	return "amqp://guest:guest@127.0.0.1:5672/"
}

// bench is one test's own corner: a schema, an exchange with a queue that replays
// go to, and a poison queue.
type bench struct {
	t        testing.TB
	database string
	db       *queries.DB
	topology pipeline.Topology
	admin    *amqp.Connection
	logger   *slog.Logger
}

func newBench(t testing.TB) *bench {
	t.Helper()
	prefix := "t." + uuid.NewString()[:13]
	database := queriestest.SchemaURL(t)
	b := &bench{
		t: t, database: database, db: queriestest.Open(t, database, true),
		topology: pipeline.Topology{
			DatabaseExchange: prefix + ".database", DatabaseQueue: prefix + ".primary", PoisonQueue: prefix + ".poison",
			DeliveryExchange: prefix + ".delivery", QueueType: pipeline.QueueQuorum, Declare: true,
		},
		logger: slog.New(slog.DiscardHandler),
	}
	if testing.Verbose() {
		b.logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	var err error
	b.admin, err = amqp.Dial(brokerURL())
	require.NoError(t, err, "no RabbitMQ for the tests: `make services` starts one; RABBITMQ_URL names another")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, b.topology.EnsureInput(ctx, b.connection("setup")))
	t.Cleanup(func() {
		b.onChannel(func(ch *amqp.Channel) {
			_, _ = ch.QueueDelete(b.topology.DatabaseQueue, false, false, false)
			_, _ = ch.QueueDelete(b.topology.PoisonQueue, false, false, false)
			_ = ch.ExchangeDelete(b.topology.DatabaseExchange, false, false)
		})
		_ = b.admin.Close()
	})
	return b
}

func (b *bench) connection(name string) *pipeline.Connection {
	c, err := pipeline.NewConnection(brokerURL(), "test "+name, b.logger)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (b *bench) onChannel(fn func(*amqp.Channel)) {
	b.t.Helper()
	ch, err := b.admin.Channel()
	require.NoError(b.t, err)
	fn(ch)
	_ = ch.Close()
}

// publish puts messages straight into a queue.
func (b *bench) publish(queue string, list ...amqp.Publishing) {
	b.t.Helper()
	b.onChannel(func(ch *amqp.Channel) {
		require.NoError(b.t, ch.Confirm(false))
		for _, p := range list {
			confirm, err := ch.PublishWithDeferredConfirm("", queue, true, false, p)
			require.NoError(b.t, err)
			require.True(b.t, confirm.Wait())
		}
	})
}

// parked is a message as the pipeline parks it.
func (b *bench) parked(n int, body string) amqp.Publishing {
	return amqp.Publishing{Body: []byte(body), DeliveryMode: amqp.Persistent, Headers: amqp.Table{
		pipeline.HeaderPoisonID: uuid.NewString(), pipeline.HeaderPoisonCode: "malformed_json", pipeline.HeaderPoisonStage: "validate",
		pipeline.HeaderPoisonReason: "a test", pipeline.HeaderPoisonExchange: b.topology.DatabaseExchange,
		pipeline.HeaderPoisonRoutingKey: "", pipeline.HeaderPoisonQueue: b.topology.DatabaseQueue,
		pipeline.HeaderPoisonFirstSeen: time.Unix(1_800_000_000+int64(n), 0).UTC().Format(time.RFC3339Nano),
		pipeline.HeaderPoisonSequence:  int64(n + 1),
	}}
}

// run starts something that ends with its context, and returns what stops it.
func (b *bench) run(work func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { work(ctx) })
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	b.t.Cleanup(stop)
	return stop
}

// collect starts a collector.
func (b *bench) collect(change ...func(*poison.CollectorConfig)) (stop func()) {
	b.t.Helper()
	cfg := poison.CollectorConfig{
		DB: b.db, Connection: b.connection("poison"), Topology: b.topology, Logger: b.logger,
		Migrated: func(context.Context) error { return nil },
	}
	for _, fn := range change {
		fn(&cfg)
	}
	collector, err := poison.NewCollector(cfg)
	require.NoError(b.t, err)
	return b.run(func(ctx context.Context) { _ = collector.Run(ctx) })
}

// work starts a worker.
func (b *bench) work(keep time.Duration) (stop func()) {
	b.t.Helper()
	worker, err := poison.NewWorker(poison.WorkerConfig{
		DB: b.db, Connection: b.connection("publish"), Poll: 20 * time.Millisecond, Keep: keep, Logger: b.logger,
	})
	require.NoError(b.t, err)
	return b.run(worker.Run)
}

// depth returns how many messages wait in a queue.
func (b *bench) depth(queue string) (n int) {
	b.t.Helper()
	b.onChannel(func(ch *amqp.Channel) {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		require.NoError(b.t, err)
		n = q.Messages
	})
	return n
}

// entries returns what is in the states, oldest first.
func (b *bench) entries(states ...queries.PoisonState) []queries.PoisonedMessage {
	b.t.Helper()
	list, err := b.db.ReadPoisoned(context.Background(), queries.PoisonFilter{States: states}, 0, 1000)
	require.NoError(b.t, err)
	return list
}

// job makes a job of everything that the filter selects.
func (b *bench) job(kind queries.JobKind, rate int, f queries.PoisonFilter) *queries.Job {
	b.t.Helper()
	job, err := b.db.CreateJob(context.Background(), queries.NewJob{
		Kind: kind, Rate: rate, Filter: f, Reason: "a test", By: queries.Operator{Who: "ann", Via: "cli"},
	})
	require.NoError(b.t, err)
	return job
}

// ended waits until the job is over.
func (b *bench) ended(id int64) (job *queries.Job) {
	b.t.Helper()
	until(b.t, "the job is over", func() bool {
		var err error
		job, err = b.db.Job(context.Background(), id)
		require.NoError(b.t, err)
		return !job.State.Open()
	})
	return job
}

// replayed takes n messages out of the input queue.
func (b *bench) replayed(n int) []amqp.Delivery {
	b.t.Helper()
	var out []amqp.Delivery
	b.onChannel(func(ch *amqp.Channel) {
		deliveries, err := ch.Consume(b.topology.DatabaseQueue, "", true, false, false, false, nil)
		require.NoError(b.t, err)
		for timeout := time.After(patience); len(out) < n; {
			select {
			case d := <-deliveries:
				out = append(out, d)
			case <-timeout:
				require.FailNow(b.t, "replays are missing", "%d of %d came", len(out), n)
			}
		}
	})
	return out
}

func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-deadline.C:
			require.FailNow(t, "not within "+patience.String()+": "+what)
		case <-ticker.C:
		}
	}
}

var errAway = errors.New("the database is away")
