package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/cmd/services/instance"
)

const rabbitHint = "What you can do: set RABBITMQ_URL to a server of yours, start Docker, or run `make services-install` as root."

// rabbitSteps is the order in which a RabbitMQ server is looked for. Only the
// last two, left out when only looking, start anything.
func (s *setup) rabbitSteps() []step {
	steps := []step{
		{"RABBITMQ_URL", s.configuredRabbitMQ},
		{"a server on " + s.rabbitAddress, s.usualRabbitMQ},
		{"a private server in " + s.privateFolder("rabbitmq"), s.runningRabbitMQ},
	}
	if s.lookOnly {
		return steps
	}

	return append(steps,
		step{"Docker Compose", s.composeRabbitMQ},
		step{"a private server from Debian's package", s.privateRabbitMQ},
	)
}

func (s *setup) configuredRabbitMQ(ctx context.Context) (found, error) {
	address := s.env("RABBITMQ_URL")
	if address == "" || s.gaveOut("rabbitmq", address) {
		return found{}, errNotApplicable
	}

	if err := dial(ctx, address); err != nil {
		return found{}, decidedError{fmt.Errorf("RABBITMQ_URL is set but cannot be used: %w\n"+
			"What you can do: start that server, correct the address, or unset RABBITMQ_URL to let this command find or start one", err)}
	}

	return found{url: address, how: "using the server that RABBITMQ_URL names"}, nil
}

func (s *setup) usualRabbitMQ(ctx context.Context) (found, error) {
	if err := listens(ctx, s.rabbitAddress); err != nil {
		return found{}, err
	}

	address := guestAt(s.rabbitAddress)
	if err := dial(ctx, address); err != nil {
		return found{}, fmt.Errorf("a server listens there but could not be used as guest: %w", err)
	}

	return found{url: address, how: "using the server on " + s.rabbitAddress + " as guest"}, nil
}

func (s *setup) runningRabbitMQ(ctx context.Context) (found, error) {
	server, err := instance.AttachRabbitMQ(s.privateFolder("rabbitmq"))
	if errors.Is(err, instance.ErrNotRunning) {
		return found{}, instance.ErrNotRunning // said in full by the step's name
	}

	if err != nil {
		return found{}, fmt.Errorf("looking for it: %w", err)
	}

	return s.ourRabbitMQ(ctx, server.URL(), "using the private server that runs in "+s.privateFolder("rabbitmq"))
}

// ourRabbitMQ checks a server that this command started.
func (s *setup) ourRabbitMQ(ctx context.Context, address, how string) (found, error) {
	if err := dial(ctx, address); err != nil {
		return found{}, err
	}

	if s.lookOnly {
		return found{url: address, how: how}, nil
	}

	return found{url: address, how: how}, s.remember("rabbitmq", address)
}

func guestAt(address string) string {
	u := url.URL{Scheme: "amqp", User: url.UserPassword("guest", "guest"), Host: address, Path: "/"}
	return u.String()
}

func dial(ctx context.Context, address string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("connecting: %w", err)
	}

	conn, err := amqp.DialConfig(address, amqp.Config{Dial: amqp.DefaultDial(10 * time.Second)})
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}

	if err := conn.Close(); err != nil {
		return fmt.Errorf("connecting: %w", err)
	}

	return nil
}
