package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/cmd/bench/arena"
	"chat-messaging/cmd/bench/contender"
	"chat-messaging/cmd/bench/process"
)

// The contenders, as flags and the table name them.
const (
	nameRelay = "A"
	nameStock = "B"
	nameOurs  = "C"
)

// entrant is a contender with what it needs of a round.
type entrant struct {
	name, title string
	messages    int
	// stores tells whether the messages must be in the table afterwards.
	stores bool
	// inputArguments are those of its input queue; nil: the service's.
	inputArguments func(queueType, poisonQueue string) amqp.Table
	command        func(*arena.Ground) (process.Command, error)
}

// entrants are the contenders in the order of their names. dir is a folder for
// programs.
func entrants(s settings, dir, service string) []entrant {
	all := []entrant{{
		name: nameRelay, title: "A bare relay", messages: s.Messages,
		command: s.inThisProgram("relay", dir),
	}, {
		name: nameStock, title: "B stock Watermill", messages: s.StockMessages, stores: true,
		inputArguments: contender.StockArguments,
		command:        s.inThisProgram("stock", dir),
	}, {
		name: nameOurs, title: "C ours", messages: s.Messages, stores: true,
		command: s.ourService(service, dir),
	}}
	return slices.DeleteFunc(all, func(e entrant) bool { return !slices.Contains(s.Contenders, e.name) })
}

// inThisProgram runs a contender of package contender as a child.
func (s settings) inThisProgram(name, dir string) func(*arena.Ground) (process.Command, error) {
	return func(g *arena.Ground) (process.Command, error) {
		self, err := os.Executable()
		if err != nil {
			return process.Command{}, fmt.Errorf("finding this program: %w", err)
		}
		setup, err := json.Marshal(contender.Setup{
			Broker: g.Broker, Database: g.Database,
			QueueType: g.Topology.QueueType, InputExchange: g.Topology.DatabaseExchange, InputQueue: g.Topology.DatabaseQueue,
			PoisonQueue: g.Topology.PoisonQueue, DeliveryExchange: g.Topology.DeliveryExchange,
			Relay: s.Relay, Stock: s.Stock,
		})
		if err != nil {
			return process.Command{}, fmt.Errorf("writing the setup of a contender: %w", err)
		}
		return process.Command{
			Path: self, Args: []string{childVerb, name}, Dir: dir, Env: []string{setupVariable + "=" + string(setup)},
		}, nil
	}
}

// ourService runs the service as it is shipped, with its own defaults.
func (s settings) ourService(service, dir string) func(*arena.Ground) (process.Command, error) {
	return func(g *arena.Ground) (process.Command, error) {
		env := pairs{
			"DATABASE_URL": g.Database, "RABBITMQ_URL": g.Broker,
			"DATABASE_EXCHANGE_NAME": g.Topology.DatabaseExchange, "DATABASE_QUEUE_NAME": g.Topology.DatabaseQueue,
			"POISON_QUEUE_NAME": g.Topology.PoisonQueue, "DELIVERY_EXCHANGE_NAME": g.Topology.DeliveryExchange,
			"QUEUE_TYPE": g.Topology.QueueType,
			// The REST API has no part in this, and its port may be taken.
			"COMPONENTS": "pipeline,relay", "HTTP_ADDR": "127.0.0.1:0",
		}
		maps.Copy(env, s.Environment)
		command := process.Command{Path: service, Args: []string{"serve"}, Dir: dir}
		for name, value := range env {
			command.Env = append(command.Env, name+"="+value)
		}
		return command, nil
	}
}

// buildService returns the path of the service's binary, built into dir unless
// one is given.
func buildService(ctx context.Context, given, dir string) (string, error) {
	if given != "" {
		path, err := filepath.Abs(given)
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return "", fmt.Errorf("looking for the service's binary: %w", err)
		}
		return path, nil
	}
	path := filepath.Join(dir, "chat-messaging")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", path, "chat-messaging/cmd/chat-messaging")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the service: %w\n%s", err, said)
	}
	return path, nil
}
