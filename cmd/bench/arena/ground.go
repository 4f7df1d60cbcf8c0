package arena

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/pipeline"
)

// Ground is what one round runs over. It serves one goroutine.
type Ground struct {
	// Broker and Database are URLs.
	Broker, Database string
	// Topology names the exchanges and queues that there are.
	Topology pipeline.Topology

	arena    *Arena
	name     string
	database string
	before   int // messages that were stored when it was prepared
	outbound string
	workload Workload
	probe    *amqp.Channel
}

// GroundConfig says what a round runs over.
type GroundConfig struct {
	Workload Workload
	// QueueType is that of all queues.
	QueueType string
	// Fill puts the messages into the input queue.
	Fill bool
	// Stored takes the database that holds messages already, as the rounds
	// before have left it, and not a new one.
	Stored bool
	// InputArguments are those of the input queue. Default: those that the
	// service gives it.
	InputArguments func(queueType, poisonQueue string) amqp.Table
}

// Prepare makes a database, exchanges and queues. The caller closes the ground even after an error.
func (a *Arena) Prepare(ctx context.Context, cfg GroundConfig) (*Ground, error) {
	a.rounds++
	name := fmt.Sprintf("bench_%d", a.rounds)
	g := &Ground{
		Broker: a.rabbitmq.URL(),
		Topology: pipeline.Topology{
			DatabaseExchange: name + ".database",
			DatabaseQueue:    name + ".database.primary",
			PoisonQueue:      name + ".database.primary.poison",
			DeliveryExchange: name + ".delivery",
			QueueType:        cfg.QueueType,
			Declare:          true,
		},
		arena: a, name: name, outbound: name + ".delivery.queue", workload: cfg.Workload,
	}
	err := g.chooseDatabase(ctx, cfg.Stored)
	if err != nil {
		return g, err
	}
	if cfg.QueueType == pipeline.QueueQuorum { // classic queues do not write to it
		if err := a.turnJournal(ctx); err != nil {
			return g, err
		}
	}
	if err := g.declare(ctx, cfg.InputArguments); err != nil {
		return g, err
	}
	if g.probe, err = a.broker.Channel(ctx); err != nil {
		return g, err
	}
	if !cfg.Fill {
		return g, nil
	}
	if err := g.Fill(ctx); err != nil {
		return g, err
	}
	waiting, err := g.Waiting()
	if err == nil && waiting != g.workload.Count {
		err = fmt.Errorf("filling the input queue: %d of %d messages are in it", waiting, g.workload.Count)
	}
	return g, err
}

func (g *Ground) chooseDatabase(ctx context.Context, stored bool) (err error) {
	if !stored {
		g.database = g.name
		g.Database, err = g.arena.makeDatabase(ctx, g.name)
		return err
	}
	g.database, g.before = storedName, g.arena.stored
	if err := g.arena.checkpoint(ctx); err != nil {
		return err
	}
	g.Database, err = g.arena.databaseURL(storedName)
	return err
}

// declare makes the queues in front of the contender and behind it. Nobody
// consumes from the latter: the broker's work for a dispatcher is not measured.
func (g *Ground) declare(ctx context.Context, arguments func(queueType, poisonQueue string) amqp.Table) error {
	broker, t := g.arena.broker, g.Topology
	if arguments != nil {
		ch, err := broker.Channel(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = ch.Close() }()
		args := arguments(t.QueueType, t.PoisonQueue)
		if _, err := ch.QueueDeclare(t.DatabaseQueue, true, false, false, false, args); err != nil {
			return fmt.Errorf("creating the input queue: %w", err)
		}
	}
	// Leaves a queue that exists as it is.
	if err := t.EnsureInput(ctx, broker); err != nil {
		return err
	}
	if err := t.EnsureDelivery(ctx, broker); err != nil {
		return err
	}
	ch, err := broker.Channel(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }()
	args := amqp.Table{"x-queue-type": t.QueueType}
	if _, err := ch.QueueDeclare(g.outbound, true, false, false, false, args); err != nil {
		return fmt.Errorf("creating the output queue: %w", err)
	}
	if err := ch.QueueBind(g.outbound, "", t.DeliveryExchange, false, nil); err != nil {
		return fmt.Errorf("binding the output queue: %w", err)
	}
	return nil
}

// Messages returns how many messages the workload has.
func (g *Ground) Messages() int { return g.workload.Count }

// Waiting returns how many messages of the input queue no contender has been
// given yet, or has given back.
func (g *Ground) Waiting() (int, error) { return g.depth(g.Topology.DatabaseQueue) }

// Sent returns how many events have come out.
func (g *Ground) Sent() (int, error) { return g.depth(g.outbound) }

// Parked returns how many messages are in the poison queue.
func (g *Ground) Parked() (int, error) { return g.depth(g.Topology.PoisonQueue) }

// Consumers returns how many consumers the input queue has.
func (g *Ground) Consumers() (int, error) {
	q, err := g.inspect(g.Topology.DatabaseQueue)
	return q.Consumers, err
}

func (g *Ground) depth(queue string) (int, error) {
	q, err := g.inspect(queue)
	return q.Messages, err
}

func (g *Ground) inspect(queue string) (amqp.Queue, error) {
	q, err := g.probe.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		return q, fmt.Errorf("looking at queue %s: %w", queue, err)
	}
	return q, nil
}

// Interrupt makes a call that waits for the broker return with an error, for
// when the run is broken off.
func (g *Ground) Interrupt() { g.arena.broker.Drop() }

// Close removes what the round has left behind.
func (g *Ground) Close(ctx context.Context) error {
	faults := []error{g.deleteTopology(ctx)}
	for tries := 1; tries < 3 && hasInternalError(faults[0]); tries++ {
		// A broker that cannot stop a quorum queue in time says no more than this.
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		faults[0] = g.deleteTopology(ctx)
	}
	if g.probe != nil && !g.probe.IsClosed() {
		faults = append(faults, g.probe.Close())
	}
	if err := errors.Join(append(faults, g.arena.dropDatabase(ctx, g.name))...); err != nil {
		return fmt.Errorf("cleaning up after a round: %w", err)
	}
	return nil
}

func hasInternalError(err error) bool {
	fault, ok := errors.AsType[*amqp.Error](err)
	return ok && fault.Code == amqp.InternalError
}

func (g *Ground) deleteTopology(ctx context.Context) error {
	ch, err := g.arena.broker.Channel(ctx)
	if err != nil {
		return err
	}
	var faults []error
	// What does not exist is deleted successfully.
	for _, queue := range []string{g.Topology.DatabaseQueue, g.Topology.PoisonQueue, g.outbound} {
		_, err := ch.QueueDelete(queue, false, false, false)
		faults = append(faults, err)
	}
	for _, exchange := range []string{g.Topology.DatabaseExchange, g.Topology.DeliveryExchange} {
		faults = append(faults, ch.ExchangeDelete(exchange, false, false))
	}
	return errors.Join(append(faults, ch.Close())...)
}
