package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"chat-messaging/cmd/services/instance"
)

// up finds or starts both servers and prints their addresses for the shell.
// It prints nothing there unless it has both.
func (s *setup) up(ctx context.Context, out io.Writer, binaries bool) error {
	lock, err := s.lock()
	if err != nil {
		return err
	}
	defer lock.Close()

	postgres, postgresErr := first(ctx, "PostgreSQL", postgresHint, s.postgresSteps())
	if postgresErr == nil {
		s.say("PostgreSQL: %s", postgres.how)
	}

	rabbit, rabbitErr := first(ctx, "RabbitMQ", rabbitHint, s.rabbitSteps())
	if rabbitErr == nil {
		s.say("RabbitMQ: %s", rabbit.how)
	}

	if err := errors.Join(postgresErr, rabbitErr); err != nil {
		return err
	}

	if binaries {
		if err := s.installForTests(ctx); err != nil {
			return err
		}
	}

	_, err = fmt.Fprintf(out, "export DATABASE_URL=%s\nexport RABBITMQ_URL=%s\n", quote(postgres.url), quote(rabbit.url))
	if err != nil {
		return fmt.Errorf("printing the addresses: %w", err)
	}

	return nil
}

// down stops what up started, and nothing else.
func (s *setup) down(ctx context.Context, deleteData bool) error {
	lock, err := s.lock()
	if err != nil {
		return err
	}
	defer lock.Close()

	postgres, postgresErr := instance.AttachPostgres(s.privateFolder("postgres"))
	rabbit, rabbitErr := instance.AttachRabbitMQ(s.privateFolder("rabbitmq"))

	err = errors.Join(
		s.stopPrivate(ctx, "postgres", postgres, postgresErr),
		s.stopPrivate(ctx, "rabbitmq", rabbit, rabbitErr),
		s.composeDown(ctx),
	)
	if err != nil || !deleteData {
		return err
	}

	if err := errors.Join(s.deletePrivate("postgres"), s.deletePrivate("rabbitmq")); err != nil {
		return err
	}

	if err := os.RemoveAll(s.data); err != nil {
		return fmt.Errorf("deleting %s: %w", s.data, err)
	}

	return nil
}

// status says what up would use, without creating or starting anything.
func (s *setup) status(ctx context.Context) error {
	s.lookOnly = true

	postgres, postgresErr := first(ctx, "PostgreSQL", "`services up` would start one.", s.postgresSteps())
	if postgresErr == nil {
		s.say("PostgreSQL: %s", postgres.how)
	}

	rabbit, rabbitErr := first(ctx, "RabbitMQ", "`services up` would start one.", s.rabbitSteps())
	if rabbitErr == nil {
		s.say("RabbitMQ: %s", rabbit.how)
	}

	return errors.Join(postgresErr, rabbitErr)
}

// quote makes a text one word for the shell, whatever is in it.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
