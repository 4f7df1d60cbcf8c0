package crash

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/migrations"
	"chat-messaging/pipeline"
	"chat-messaging/queries"
)

// GroundConfig says what one run works on.
type GroundConfig struct {
	// Name is the database's and part of all other names: lower case, no blanks.
	Name string
	// QueueType and Routing are the service's settings.
	QueueType, Routing string
	// Chats is how many there are.
	Chats int
	// WithoutUniqueKey takes the key off the table: the mistake that no code can
	// make.
	WithoutUniqueKey bool
}

// ground is one run's own part of the servers: a database, queues and chats.
type ground struct {
	cfg              GroundConfig
	broker, database string
	topology         pipeline.Topology
	recorderQueue    string
	db               *queries.DB
	chats            []Chat
}

// newGround makes a ground. The caller closes it even after an error.
func newGround(ctx context.Context, s *Servers, cfg GroundConfig) (*ground, error) {
	g := &ground{
		cfg: cfg, broker: s.rabbitmq.URL(), recorderQueue: cfg.Name + ".recorder",
		topology: pipeline.Topology{
			DatabaseExchange: cfg.Name + ".database", DatabaseQueue: cfg.Name + ".primary", PoisonQueue: cfg.Name + ".poison",
			DeliveryExchange: cfg.Name + ".delivery", QueueType: cfg.QueueType, Declare: true,
		},
	}
	if err := g.makeDatabase(ctx, s.postgres.URL()); err != nil {
		return g, err
	}
	return g, g.makeQueues(ctx)
}

func (g *ground) close() {
	if g.db != nil {
		_ = g.db.Close()
	}
}

func (g *ground) makeDatabase(ctx context.Context, server string) error {
	admin, err := queries.Open(queries.Config{URL: server, MaxConns: 1, StatementTimeout: time.Minute})
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close() }()
	if _, err := admin.ExecContext(ctx, "CREATE DATABASE "+g.cfg.Name); err != nil {
		return fmt.Errorf("creating database %s: %w", g.cfg.Name, err)
	}
	u, err := url.Parse(server)
	if err != nil {
		return fmt.Errorf("reading the URL of Postgres: %w", err)
	}
	u.Path = "/" + g.cfg.Name
	g.database = u.String()
	// A scenario may leave a transaction of ours open for as long as it takes.
	patient := g.database + "&idle_in_transaction_session_timeout=300000"
	g.db, err = queries.Open(queries.Config{URL: patient, ApplicationName: auditor, MaxConns: 4, StatementTimeout: 5 * time.Minute})
	if err != nil {
		return err
	}
	if _, err := migrations.Up(ctx, g.db.DB.DB); err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	if g.cfg.WithoutUniqueKey {
		if _, err := g.db.ExecContext(ctx, loseUniqueKeyStatement); err != nil {
			return fmt.Errorf("taking the unique key off: %w", err)
		}
	}
	for i := range g.cfg.Chats {
		members := [2]int64{int64(2*i + 1), int64(2*i + 2)}
		id, err := g.db.EnsureChat(ctx, members[:])
		if err != nil {
			return fmt.Errorf("making a chat: %w", err)
		}
		g.chats = append(g.chats, Chat{ID: id, Members: members})
	}
	return nil
}

// auditor is the name of our own sessions, which are not the service's.
const auditor = "auditor"

// The service's statement names the key, so there must be one of that name: on
// columns that are unique anyway it keeps nobody from anything.
const loseUniqueKeyStatement = `
ALTER TABLE messages DROP CONSTRAINT messages_idempotency_key;
ALTER TABLE messages ADD CONSTRAINT messages_idempotency_key UNIQUE (chat_id, seq)`

// makeQueues makes the service's queues, and one for the recorder, to which every
// event is routed from the first on.
func (g *ground) makeQueues(ctx context.Context) error {
	conn, err := pipeline.NewConnection(g.broker, auditor, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := g.topology.EnsureInput(ctx, conn); err != nil {
		return err
	}
	if err := g.topology.EnsureDelivery(ctx, conn); err != nil {
		return err
	}
	args := amqp.Table{"x-queue-type": g.cfg.QueueType}
	if g.cfg.QueueType == pipeline.QueueQuorum {
		args["x-single-active-consumer"] = true
	}
	if err := onChannel(ctx, g.broker, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(g.recorderQueue, true, false, false, false, args)
		return err
	}); err != nil {
		return fmt.Errorf("creating the recorder's queue: %w", err)
	}
	return g.bind(ctx, true)
}

// bind binds the recorder's queue to the delivery exchange, or unbinds it.
func (g *ground) bind(ctx context.Context, bound bool) error {
	keys := []string{""}
	if g.cfg.Routing == pipeline.RoutingUser {
		keys = nil
		for _, id := range users(g.chats) {
			keys = append(keys, strconv.FormatInt(id, 10))
		}
	}
	return onChannel(ctx, g.broker, func(ch *amqp.Channel) error {
		for _, key := range keys {
			var err error
			if bound {
				err = ch.QueueBind(g.recorderQueue, key, g.topology.DeliveryExchange, false, nil)
			} else {
				err = ch.QueueUnbind(g.recorderQueue, key, g.topology.DeliveryExchange, nil)
			}
			if err != nil {
				return fmt.Errorf("binding the recorder's queue: %w", err)
			}
		}
		return nil
	})
}

// environ makes the service work on this ground.
func (g *ground) environ() []string {
	return []string{
		"DATABASE_URL=" + g.database, "RABBITMQ_URL=" + g.broker, "QUEUE_TYPE=" + g.cfg.QueueType, "DELIVERY_ROUTING=" + g.cfg.Routing,
		"DATABASE_EXCHANGE_NAME=" + g.topology.DatabaseExchange, "DATABASE_QUEUE_NAME=" + g.topology.DatabaseQueue,
		"POISON_QUEUE_NAME=" + g.topology.PoisonQueue, "DELIVERY_EXCHANGE_NAME=" + g.topology.DeliveryExchange,
		// The poison queue is the auditor's, so nothing else may empty it.
		"COMPONENTS=pipeline,relay,http", "HTTP_ADDR=127.0.0.1:0", "KEY=nobody asks this service anything over REST",
		"PREFETCH=" + strconv.Itoa(prefetch), "BATCH_SIZE=" + strconv.Itoa(batchSize), "LOG_LEVEL=warn",
		"GORACE=halt_on_error=1", // a data race ends the service, so that it is noticed
	}
}

// What the service has in hand at once. Both are small, so that a batch is a
// part of what is under way, and a window several batches.
const (
	prefetch  = 300
	batchSize = 50
)

// queue returns how many messages wait in a queue, and how many consume it.
func (g *ground) queue(ctx context.Context, name string) (waiting, consumers int, err error) {
	err = onChannel(ctx, g.broker, func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
		waiting, consumers = q.Messages, q.Consumers
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("looking at queue %s: %w", name, err)
	}
	return waiting, consumers, nil
}

// count returns the number of rows of a table.
func (g *ground) count(ctx context.Context, table string) (int, error) {
	var n int
	if err := g.db.GetContext(ctx, &n, "SELECT count(*) FROM "+table); err != nil {
		return 0, fmt.Errorf("counting %s: %w", table, err)
	}
	return n, nil
}
