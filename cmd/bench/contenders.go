package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/cmd/bench/arena"
	"chat-messaging/cmd/bench/contender"
	"chat-messaging/cmd/bench/process"
)

// The contenders, as flags name them.
const (
	nameRelay = "A"
	nameStock = "B"
	nameOurs  = "C"
)

// entrant is a contender with what it needs of a round.
type entrant struct {
	name, title string
	// stores tells whether the messages must be in the table afterwards, ordered
	// whether the events of a chat must come in order.
	stores, ordered bool
	// inputArguments are those of its input queue; nil: the service's.
	inputArguments func(queueType, poisonQueue string) amqp.Table
	// launch says how to start it, with further settings for the service.
	launch func(*arena.Ground, pairs) (launch, error)
}

// launch is a process to be measured.
type launch struct {
	process.Command

	// metrics is where it tells its own figures. Empty: it does not.
	metrics string
}

// entrants are the contenders. dir is a folder for programs, service the path of
// the service's binary.
func (s settings) entrants(dir, service string) (relay, stock, ours entrant) {
	relay = entrant{name: nameRelay, title: "A bare relay", launch: s.inThisProgram("relay", dir)}
	stock = entrant{
		name: nameStock, title: "B stock Watermill", stores: true,
		inputArguments: contender.StockArguments,
		launch:         s.inThisProgram("stock", dir),
	}
	ours = entrant{
		name: nameOurs, title: "C ours", stores: true, ordered: true,
		launch: s.ourService(service, dir),
	}
	return relay, stock, ours
}

// inThisProgram runs a contender of package contender as a child.
func (s settings) inThisProgram(name, dir string) func(*arena.Ground, pairs) (launch, error) {
	return func(g *arena.Ground, _ pairs) (launch, error) {
		self, err := os.Executable()
		if err != nil {
			return launch{}, fmt.Errorf("finding this program: %w", err)
		}
		setup, err := json.Marshal(contender.Setup{
			Broker: g.Broker, Database: g.Database,
			QueueType: g.Topology.QueueType, InputExchange: g.Topology.DatabaseExchange, InputQueue: g.Topology.DatabaseQueue,
			PoisonQueue: g.Topology.PoisonQueue, DeliveryExchange: g.Topology.DeliveryExchange,
			Relay: s.Relay, Stock: s.Stock,
		})
		if err != nil {
			return launch{}, fmt.Errorf("writing the setup of a contender: %w", err)
		}
		return launch{Command: process.Command{
			Path: self, Args: []string{childVerb, name}, Dir: dir, Env: []string{setupVariable + "=" + string(setup)},
		}}, nil
	}
}

// ourService runs the service as it is shipped, with its own defaults.
func (s settings) ourService(service, dir string) func(*arena.Ground, pairs) (launch, error) {
	return func(g *arena.Ground, further pairs) (launch, error) {
		address, err := freeAddress()
		if err != nil {
			return launch{}, err
		}
		env := pairs{
			"DATABASE_URL": g.Database, "RABBITMQ_URL": g.Broker,
			"DATABASE_EXCHANGE_NAME": g.Topology.DatabaseExchange, "DATABASE_QUEUE_NAME": g.Topology.DatabaseQueue,
			"POISON_QUEUE_NAME": g.Topology.PoisonQueue, "DELIVERY_EXCHANGE_NAME": g.Topology.DeliveryExchange,
			"QUEUE_TYPE": g.Topology.QueueType,
			// The REST API has no part in this. Metrics are served without it too.
			"COMPONENTS": "pipeline,relay", "HTTP_ADDR": address,
		}
		maps.Copy(env, further)
		maps.Copy(env, s.Environment)
		command := process.Command{Path: service, Args: []string{"serve"}, Dir: dir}
		for name, value := range env {
			command.Env = append(command.Env, name+"="+value)
		}
		return launch{Command: command, metrics: "http://" + env["HTTP_ADDR"] + "/metrics"}, nil
	}
}

// freeAddress is one on loopback that nothing listens on at this moment.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing to wait for
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String(), nil
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
