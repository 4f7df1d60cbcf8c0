package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"chat-messaging/cmd/services/instance"
)

// startTimeout bounds the start of a private server, the recovery of its data
// after a crash included.
const startTimeout = 3 * time.Minute

func (s *setup) privateFolder(server string) string { return filepath.Join(s.data, server) }

func (s *setup) privatePostgres(ctx context.Context) (found, error) {
	if err := s.installMissing(ctx, instance.PostgresInstalled, "postgresql"); err != nil {
		return found{}, err
	}

	var server *instance.Postgres

	err := s.startReachable("postgres", func(dir string) (err error) {
		ctx, cancel := context.WithTimeout(ctx, startTimeout)
		defer cancel()

		server, err = instance.StartPostgres(ctx, instance.PostgresConfig{
			Dir: dir, Detached: true,
			// The tests of several packages run at a time.
			Settings: map[string]string{"max_connections": "300"},
		})

		return err
	})
	if err != nil {
		return found{}, err
	}

	return s.ourPostgres(ctx, server.URL(), "started a private server in "+s.privateFolder("postgres"))
}

func (s *setup) privateRabbitMQ(ctx context.Context) (found, error) {
	if err := s.installMissing(ctx, instance.RabbitMQInstalled, "rabbitmq-server"); err != nil {
		return found{}, err
	}

	var server *instance.RabbitMQ

	err := s.startReachable("rabbitmq", func(dir string) (err error) {
		ctx, cancel := context.WithTimeout(ctx, startTimeout)
		defer cancel()

		server, err = instance.StartRabbitMQ(ctx, instance.RabbitMQConfig{Dir: dir, Detached: true})

		return err
	})
	if err != nil {
		return found{}, err
	}

	return s.ourRabbitMQ(ctx, server.URL(), "started a private server in "+s.privateFolder("rabbitmq"))
}

// startReachable calls start with the server's folder. Where root's project
// lies in a folder that the server's own account may not enter, such as /root,
// the data go to /var/lib instead and the folder becomes a link to them:
// opening the user's folders to others is not ours to do.
func (s *setup) startReachable(server string, start func(dir string) error) error {
	dir := s.privateFolder(server)

	err := start(dir)
	if !errors.Is(err, instance.ErrUnreachable) {
		return err
	}

	sum := sha256.Sum256([]byte(s.root))
	elsewhere := filepath.Join("/var/lib/chat-messaging", hex.EncodeToString(sum[:4]), server)

	s.say("%s: %v; its data go to %s instead", server, err, elsewhere)

	if err := os.MkdirAll(elsewhere, 0o755); err != nil { //nolint:gosec // the server's account must enter it
		return fmt.Errorf("creating a reachable folder: %w", err)
	}

	// Empty: nothing has been written before the folder was found closed.
	if err := os.Remove(dir); err != nil {
		return fmt.Errorf("linking to a reachable folder: %w", err)
	}

	if err := os.Symlink(elsewhere, dir); err != nil {
		return fmt.Errorf("linking to a reachable folder: %w", err)
	}

	return start(dir)
}

// stoppable is a private server that runs.
type stoppable interface {
	Stop(ctx context.Context) error
}

// stopPrivate stops a private server. attached and err are what the Attach
// function of its kind returned.
func (s *setup) stopPrivate(ctx context.Context, server string, attached stoppable, err error) error {
	if errors.Is(err, instance.ErrNotRunning) {
		s.say("%s: no private server runs", server)
		return nil
	}

	if err != nil {
		return fmt.Errorf("looking for the private server: %w", err)
	}

	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()

	if err := attached.Stop(ctx); err != nil {
		return fmt.Errorf("stopping the private server: %w", err)
	}

	s.say("%s: stopped the private server in %s", server, s.privateFolder(server))

	return nil
}

// deletePrivate deletes a stopped server's data, wherever they are.
func (s *setup) deletePrivate(server string) error {
	dir := s.privateFolder(server)

	place, err := filepath.EvalSymlinks(dir) // absolute, as dir is
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}

	if err != nil {
		return fmt.Errorf("deleting the data of %s: %w", server, err)
	}

	for _, path := range []string{place, dir} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("deleting the data of %s: %w", server, err)
		}
	}

	if place != dir {
		// The folders that startReachable made around it, unless they are in use.
		_ = os.Remove(filepath.Dir(place))
		_ = os.Remove(filepath.Dir(filepath.Dir(place)))
	}

	s.say("%s: deleted %s", server, place)

	return nil
}
