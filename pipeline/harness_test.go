package pipeline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"chat-messaging/handlers"
	"chat-messaging/migrations"
	"chat-messaging/pipeline"
	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// patience bounds every wait of a test: far beyond what anything takes, so that
// only a real fault meets it.
const patience = 60 * time.Second

// brokerURL is the RabbitMQ that tests use.
func brokerURL() string {
	if given := os.Getenv("RABBITMQ_URL"); given != "" {
		return given
	}
	return "amqp://guest:guest@127.0.0.1:5672/"
}

// brokerUser is whom the broker knows us as: it refuses messages under another
// name.
func brokerUser(t testing.TB) string {
	t.Helper()
	uri, err := amqp.ParseURI(brokerURL())
	require.NoError(t, err)
	return uri.Username
}

// bench is one test's own corner of the servers: a schema, and names for its
// exchanges and queues.
type bench struct {
	t        testing.TB
	broker   string
	database string
	db       *queries.DB
	topology pipeline.Topology
	routing  string
	admin    *amqp.Connection
	logger   *slog.Logger
}

type option func(*bench)

func withQueueType(kind string) option  { return func(b *bench) { b.topology.QueueType = kind } }
func withRouting(routing string) option { return func(b *bench) { b.routing = routing } }

// newBench prepares a corner on the shared servers.
func newBench(t testing.TB, options ...option) *bench {
	t.Helper()
	return newBenchAt(t, brokerURL(), queriestest.SchemaURL(t), options...)
}

// newBenchAt prepares a corner on given servers.
func newBenchAt(t testing.TB, broker, database string, options ...option) *bench {
	t.Helper()
	id := strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	b := &bench{
		t: t, broker: broker, database: database,
		db: queriestest.Open(t, database, true),
		topology: pipeline.Topology{
			DatabaseExchange: "t." + id + ".database",
			DatabaseQueue:    "t." + id + ".database.primary",
			PoisonQueue:      "t." + id + ".poison",
			DeliveryExchange: "t." + id + ".delivery",
			QueueType:        pipeline.QueueClassic,
			Declare:          true,
		},
		routing: pipeline.RoutingFanIn,
		logger:  testLogger(t),
	}
	for _, o := range options {
		o(b)
	}
	admin, err := amqp.Dial(broker)
	require.NoError(t, err, "no RabbitMQ for the tests: `make services` starts one; RABBITMQ_URL names another")
	b.admin = admin
	t.Cleanup(func() {
		b.onChannel(func(ch *amqp.Channel) {
			_, _ = ch.QueueDelete(b.topology.DatabaseQueue, false, false, false)
		})
		b.onChannel(func(ch *amqp.Channel) { _, _ = ch.QueueDelete(b.topology.PoisonQueue, false, false, false) })
		b.onChannel(func(ch *amqp.Channel) { _ = ch.ExchangeDelete(b.topology.DatabaseExchange, false, false) })
		b.onChannel(func(ch *amqp.Channel) { _ = ch.ExchangeDelete(b.topology.DeliveryExchange, false, false) })
		_ = admin.Close()
	})
	return b
}

func (b *bench) onChannel(fn func(*amqp.Channel)) {
	if ch, err := b.admin.Channel(); err == nil {
		fn(ch)
		_ = ch.Close()
	}
}

func testLogger(t testing.TB) *slog.Logger {
	var out io.Writer = io.Discard
	if testing.Verbose() {
		out = os.Stderr
	}
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})).With("test", t.Name())
}

// service is a running pipeline with its relay.
type service struct {
	b        *bench
	pipeline *pipeline.Pipeline
	relay    *pipeline.Relay
	registry *prometheus.Registry
	stopAll  func()
}

// serve starts a pipeline and a relay, and stops them at the end of the test.
func (b *bench) serve(change ...func(*pipeline.Config)) *service {
	b.t.Helper()
	t := b.t
	db := queriestest.Open(t, b.database, false)
	connection := func(name string) *pipeline.Connection {
		c, err := pipeline.NewConnection(b.broker, "test "+name, b.logger)
		require.NoError(t, err)
		return c
	}
	consume, publish := connection("consume"), connection("publish")
	s := &service{b: b, registry: prometheus.NewRegistry()}
	metrics, err := pipeline.NewMetrics(s.registry)
	require.NoError(t, err)
	policy, err := handlers.DefaultPolicy()
	require.NoError(t, err)
	publisher, err := pipeline.NewDeliveryPublisher(publish, b.topology, b.routing, b.logger)
	require.NoError(t, err)
	s.relay, err = pipeline.NewRelay(pipeline.RelayConfig{
		DB: db, Publisher: publisher, Routing: b.routing, Observe: metrics, Logger: b.logger,
	})
	require.NoError(t, err)
	cfg := pipeline.Config{
		DB: db, Consume: consume, Publish: publish, Topology: b.topology, Policy: policy,
		Migrated:     func(ctx context.Context) error { return migrated(ctx, db) },
		Committed:    s.relay.Offer,
		Metrics:      metrics,
		Logger:       b.logger,
		RouterLogger: watermill.NopLogger{},
		Prefetch:     500, BatchSize: 250,
	}
	for _, fn := range change {
		fn(&cfg)
	}
	s.pipeline, err = pipeline.New(cfg)
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(s.pipeline.Run)
	g.Go(func() error { s.relay.Run(ctx); return nil })
	stopped := false
	s.stopAll = func() {
		if stopped {
			return
		}
		stopped = true
		require.NoError(t, s.pipeline.Close())
		drain, done := context.WithTimeout(context.Background(), 5*time.Second)
		_ = s.relay.Drain(drain)
		done()
		cancel()
		require.NoError(t, g.Wait())
		_ = publisher.Close()
		_ = consume.Close()
		_ = publish.Close()
	}
	t.Cleanup(s.stopAll)
	return s
}

func migrated(ctx context.Context, db *queries.DB) error {
	pending, err := migrations.Pending(ctx, db.DB.DB)
	if err == nil && pending > 0 {
		err = fmt.Errorf("%d migrations are pending", pending)
	}
	return err
}

// event is what a dispatcher reads.
type event struct {
	MessageID       string
	Type            string
	ID              *string `json:"id"`
	ClientMessageID *string `json:"client_message_id"`
	ChatID          *string `json:"chat_id"`
	SenderID        int64   `json:"sender_id"`
	RecipientID     int64   `json:"recipient_id"`
	Body            *string `json:"body"`
	Status          string  `json:"status"`
	RejectCode      *string `json:"reject_code"`
	RejectReason    *string `json:"reject_reason"`
	Seq             *int64  `json:"seq"`
	raw             string
	properties      amqp.Delivery
}

// dispatcher is a queue of its own behind the delivery exchange.
func (b *bench) dispatcher(keys ...string) <-chan event {
	b.t.Helper()
	if len(keys) == 0 {
		keys = []string{""}
	}
	ch, err := b.admin.Channel()
	require.NoError(b.t, err)
	require.NoError(b.t, ch.ExchangeDeclare(b.topology.DeliveryExchange, "direct", true, false, false, false, nil))
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	require.NoError(b.t, err)
	for _, key := range keys {
		require.NoError(b.t, ch.QueueBind(q.Name, key, b.topology.DeliveryExchange, false, nil))
	}
	deliveries, err := ch.Consume(q.Name, "", true, true, false, false, nil)
	require.NoError(b.t, err)
	events := make(chan event, 200_000)
	go func() {
		defer close(events)
		for d := range deliveries {
			e := event{MessageID: d.MessageId, Type: d.Type, raw: string(d.Body), properties: d}
			if err := json.Unmarshal(d.Body, &e); err != nil {
				e.Status = "unreadable: " + err.Error()
			}
			events <- e
		}
	}()
	return events
}

// next returns n events.
func next(t testing.TB, events <-chan event, n int) []event {
	t.Helper()
	timeout := time.After(patience)
	var out []event
	for len(out) < n {
		select {
		case e := <-events:
			out = append(out, e)
		case <-timeout:
			require.FailNow(t, "events are missing", "%d of %d came", len(out), n)
		}
	}
	return out
}

// poisoned returns the next n messages of the poison queue.
func (b *bench) poisoned(n int) []amqp.Delivery {
	b.t.Helper()
	ch, err := b.admin.Channel()
	require.NoError(b.t, err)
	defer func() { _ = ch.Close() }()
	deliveries, err := ch.Consume(b.topology.PoisonQueue, "", true, false, false, false, nil)
	require.NoError(b.t, err)
	var out []amqp.Delivery
	timeout := time.After(patience)
	for len(out) < n {
		select {
		case d := <-deliveries:
			out = append(out, d)
		case <-timeout:
			require.FailNow(b.t, "poisoned messages are missing", "%d of %d came", len(out), n)
		}
	}
	return out
}

// depth returns how many messages wait in a queue.
func (b *bench) depth(queue string) int {
	b.t.Helper()
	ch, err := b.admin.Channel()
	require.NoError(b.t, err)
	defer func() { _ = ch.Close() }()
	q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	require.NoError(b.t, err)
	return q.Messages
}

// declare makes the input side, as the broker's definitions would, for tests
// that send before the service runs.
func (b *bench) declare() {
	b.t.Helper()
	conn, err := pipeline.NewConnection(b.broker, "test declare", b.logger)
	require.NoError(b.t, err)
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(b.t, b.topology.EnsureInput(ctx, conn))
}

// send publishes bodies with confirms and returns when all are in the queue.
func (b *bench) send(bodies ...string) {
	b.t.Helper()
	publishings := make([]amqp.Publishing, len(bodies))
	for i, body := range bodies {
		publishings[i] = amqp.Publishing{
			ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp.Persistent, Body: []byte(body),
		}
	}
	b.sendPublishings(publishings...)
}

func (b *bench) sendPublishings(publishings ...amqp.Publishing) {
	b.t.Helper()
	b.declare()
	ch, err := b.admin.Channel()
	require.NoError(b.t, err)
	defer func() { _ = ch.Close() }()
	require.NoError(b.t, ch.Confirm(false))
	confirms := make([]*amqp.DeferredConfirmation, len(publishings))
	for i, p := range publishings {
		confirms[i], err = ch.PublishWithDeferredConfirm(b.topology.DatabaseExchange, "", true, false, p)
		require.NoError(b.t, err)
	}
	for _, c := range confirms {
		require.True(b.t, c.Wait())
	}
}

// say is the JSON of a message as the gateway sends it.
func say(chat, sender, recipient int64, clientID, body string) string {
	text, _ := json.Marshal(map[string]any{
		"id": nil, "client_message_id": clientID, "chat_id": strconv.FormatInt(chat, 10),
		"sender_id": sender, "recipient_id": recipient, "sent_at": "2025-12-16T20:19:31.123456Z",
		"delivered_at": nil, "body": body, "status": "sent", "is_edited": false, "is_deleted": false,
	})
	return string(text)
}
