package pipeline

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Exclusivity is how a queue is kept to one consumer at a time, which the order
// of messages depends on when several instances run.
type Exclusivity string

const (
	// ExclusiveConsumer: the broker refuses a second consumer. Classic queues.
	ExclusiveConsumer Exclusivity = "exclusive consumer"
	// SingleActiveConsumer: the queue has the argument of that name, and the
	// broker hands messages to one of its consumers only.
	SingleActiveConsumer Exclusivity = "single active consumer"
	// AdvisoryLock: the queue has no means of its own, so the consumer holds a
	// lock in Postgres.
	AdvisoryLock Exclusivity = "advisory lock"
	// Shared: any number of consumers, each gets a part.
	Shared Exclusivity = "shared"
)

// errUntold: the broker answers, but in a way that tells nothing of the queue.
var errUntold = errors.New("the broker does not tell a queue's arguments")

// maxArguments bounds the questions that inspectQueue asks.
const maxArguments = 24

// neverCreate is an argument that RabbitMQ does not compare for a queue of our
// types, and whose value it refuses for a new queue: so a declaration with it
// cannot create the queue, should that have been deleted a moment ago.
const neverCreate = "x-max-age"

// inequivalent is what RabbitMQ says of a declaration that does not match, from
// 3.x to 4.x: the argument, and the value and type that the queue has.
var inequivalent = regexp.MustCompile(
	`inequivalent arg '([^']+)' for queue .*: received .* but current is (?:none|the value '(.*)' of type '([^']*)')`)

// inspectQueue finds a queue's arguments. AMQP has no call for that, but a
// declaration that does not match is refused with a text that names one
// difference, so declaring again with each correction ends with the queue's own
// arguments. A declaration that matches changes nothing.
//
// It fails where the broker refuses for another reason (no permission to
// configure, a relaxed equivalence check); the caller then assumes nothing.
func inspectQueue(ctx context.Context, conn *Connection, queue string) (amqp.Table, error) {
	args := amqp.Table{neverCreate: "never"}
	for range maxArguments {
		err := onFreshChannel(ctx, conn, func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare(queue, true, false, false, false, args)
			return err
		})
		if err == nil {
			if err := verifyInspection(ctx, conn, queue, args); err != nil {
				return nil, err
			}
			delete(args, neverCreate)
			return args, nil
		}
		var amqpErr *amqp.Error
		if !errors.As(err, &amqpErr) || amqpErr.Code != amqp.PreconditionFailed {
			return nil, fmt.Errorf("inspecting queue %q: %w", queue, err)
		}
		found := inequivalent.FindStringSubmatch(amqpErr.Reason)
		if found == nil {
			return nil, fmt.Errorf("inspecting queue %q: %w: %w", queue, errUntold, err)
		}
		if found[3] == "" {
			delete(args, found[1])
			continue
		}
		args[found[1]] = argumentValue(found[2], found[3])
	}
	return nil, fmt.Errorf("inspecting queue %q: %w: still refused after %d corrections", queue, errUntold, maxArguments)
}

// verifyInspection makes sure that the broker compares at all: a wrong argument
// must be refused.
func verifyInspection(ctx context.Context, conn *Connection, queue string, args amqp.Table) error {
	wrong := amqp.Table{"x-single-active-consumer": args["x-single-active-consumer"] != true}
	for key, value := range args {
		if _, set := wrong[key]; !set {
			wrong[key] = value
		}
	}
	err := onFreshChannel(ctx, conn, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(queue, true, false, false, false, wrong)
		return err
	})
	switch {
	case hasCode(err, amqp.PreconditionFailed):
		return nil
	case err != nil:
		return fmt.Errorf("inspecting queue %q: %w", queue, err)
	}
	return fmt.Errorf("inspecting queue %q: %w: it does not compare them", queue, errUntold)
}

func argumentValue(value, kind string) any {
	switch kind {
	case "bool":
		return value == "true"
	case "longstr":
		return value
	default:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return value
		}
		return n
	}
}

// exclusivityOf decides by a queue's arguments.
func exclusivityOf(args amqp.Table) Exclusivity {
	if args["x-single-active-consumer"] == true {
		return SingleActiveConsumer
	}
	switch args["x-queue-type"] {
	case nil, QueueClassic:
		return ExclusiveConsumer
	}
	// A quorum queue accepts exclusive consumers and then serves several.
	return AdvisoryLock
}
