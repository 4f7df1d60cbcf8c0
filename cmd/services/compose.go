package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// composeService is a service of docker-compose.yaml that is published on the
// loopback interface, on a port that a variable can move.
type composeService struct {
	name, port string
	// usual is the address taken where it is free; variable moves it elsewhere.
	usual, variable string
}

func (s *setup) postgresService() composeService {
	return composeService{name: "postgres", port: "5432", usual: s.postgresAddress, variable: "POSTGRES_PORT"}
}

func (s *setup) rabbitService() composeService {
	return composeService{name: "rabbitmq", port: "5672", usual: s.rabbitAddress, variable: "RABBITMQ_PORT"}
}

func (s *setup) composePostgres(ctx context.Context) (found, error) {
	address, err := s.composeUp(ctx, s.postgresService())
	if err != nil {
		return found{}, err
	}

	return s.ourPostgres(ctx, composeDatabase(address),
		"running under Docker Compose on "+address)
}

func (s *setup) composeRabbitMQ(ctx context.Context) (found, error) {
	address, err := s.composeUp(ctx, s.rabbitService())
	if err != nil {
		return found{}, err
	}

	return s.ourRabbitMQ(ctx, guestAt(address), "running under Docker Compose on "+address)
}

// composeDatabase has the login that docker-compose.yaml gives its server.
func composeDatabase(address string) string {
	return "postgres://postgres:postgres@" + address + "/postgres?sslmode=disable"
}

// composeUp starts a service unless it runs, and returns its address.
func (s *setup) composeUp(ctx context.Context, service composeService) (string, error) {
	if err := s.dockerAnswers(ctx); err != nil {
		return "", err
	}

	if address, err := s.compose(ctx, nil, "port", service.name, service.port); err == nil && address != "" {
		return address, nil
	}

	// A server that we may not use can hold the usual port; see usualPostgres.
	address := service.usual
	if listens(ctx, address) == nil {
		var err error
		if address, err = freeAddress(ctx); err != nil {
			return "", err
		}
	}

	s.say("%s: starting it with Docker Compose; the first time this loads its image ...", service.name)

	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("choosing a port: %w", err)
	}

	if err := s.noteCompose(service.name); err != nil {
		return "", err
	}

	if _, err := s.compose(ctx, []string{service.variable + "=" + port}, "up", "--detach", "--wait", service.name); err != nil {
		// What came up, but not to health, would keep its port. That nothing
		// came up that could be stopped is no news after this error.
		_, _ = s.compose(ctx, nil, "stop", service.name)
		_ = os.Remove(s.composeMark(service.name))

		return "", err
	}

	return address, nil
}

func (s *setup) dockerAnswers(ctx context.Context) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return errors.New("there is no docker command")
	}

	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()

	if _, err := s.command(ctx, nil, "docker", "info"); err != nil {
		return fmt.Errorf("no engine runs: %w", err)
	}

	if _, err := s.command(ctx, nil, "docker", "compose", "version"); err != nil {
		return fmt.Errorf("the compose plugin is missing: %w", err)
	}

	return nil
}

func (s *setup) compose(ctx context.Context, env []string, args ...string) (string, error) {
	file := filepath.Join(s.root, "docker-compose.yaml")
	return s.command(ctx, env, "docker", append([]string{"compose", "--file", file}, args...)...)
}

// command runs a program in the project's folder and returns what it prints;
// its complaints become part of the error.
func (s *setup) command(ctx context.Context, env []string, name string, args ...string) (string, error) {
	var complaints strings.Builder

	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = s.root, append(os.Environ(), env...), &complaints
	cmd.WaitDelay = time.Second

	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("running %s %s: %w\n%s", name, strings.Join(args, " "), err, strings.TrimSpace(complaints.String()))
	}

	return strings.TrimSpace(string(out)), nil
}

func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}

	if err := listener.Close(); err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}

	return listener.Addr().String(), nil
}

// noteCompose leaves a mark that a service was started here, for down.
func (s *setup) noteCompose(name string) error {
	if err := os.WriteFile(s.composeMark(name), nil, 0o600); err != nil {
		return fmt.Errorf("noting that compose runs %s: %w", name, err)
	}

	return nil
}

// composeDown stops the services that this command started; their data stay.
func (s *setup) composeDown(ctx context.Context) error {
	marks, err := filepath.Glob(filepath.Join(s.data, "*.compose"))
	if err != nil {
		return fmt.Errorf("looking for started services: %w", err)
	}

	for _, mark := range marks {
		name := strings.TrimSuffix(filepath.Base(mark), ".compose")
		if err := s.composeStop(ctx, name); err != nil {
			return err
		}

		s.say("%s: stopped under Docker Compose", name)
	}

	return nil
}

func (s *setup) composeStop(ctx context.Context, name string) error {
	if _, err := s.compose(ctx, nil, "stop", name); err != nil {
		return err
	}

	if err := os.Remove(s.composeMark(name)); err != nil {
		return fmt.Errorf("forgetting that compose runs %s: %w", name, err)
	}

	return nil
}

func (s *setup) composeMark(name string) string { return filepath.Join(s.data, name+".compose") }
