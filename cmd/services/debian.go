package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// debianPackages are the packages of both servers, and of the tests' browser.
const debianPackages = "postgresql rabbitmq-server chromium"

//go:embed install.sh
var installScript string

// installMissing installs a server's package unless its programs are there.
func (s *setup) installMissing(ctx context.Context, installed func() error, packages string) error {
	if installed() == nil {
		return nil
	}

	if err := s.install(ctx, packages); err != nil {
		return err
	}

	return installed()
}

// install installs Debian packages without starting servers that are in them.
func (s *setup) install(ctx context.Context, packages string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("installing: there is no apt-get, so this is not Debian or Ubuntu; " +
			"install PostgreSQL and RabbitMQ the way this system does it")
	}

	become, err := s.becomeRoot(ctx)
	if err != nil {
		return err
	}

	s.say("%s: installing the Debian package, without starting a server; this takes a minute ...", packages)

	args := append(become, "bash", "-c", installScript, "install.sh")
	args = append(args, strings.Fields(packages)...)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = s.messages, s.messages
	// So that it can put back what it changed.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute

	if err := cmd.Run(); err != nil {
		return fmt.Errorf("installing %s: %w", packages, err)
	}

	return nil
}

// becomeRoot returns what to put before a command that must run as root.
func (s *setup) becomeRoot(ctx context.Context) ([]string, error) {
	if os.Geteuid() == 0 {
		return nil, nil
	}

	if _, err := s.command(ctx, nil, "sudo", "-n", "true"); err != nil {
		return nil, errors.New("installing: this needs root, and sudo does not work without a password here; " +
			"run `sudo bin/services install` once")
	}

	return []string{"sudo", "-n"}, nil
}
