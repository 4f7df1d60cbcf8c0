package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"chat-messaging/cmd/services/instance"
)

// installForTests installs what only the tests need.
func (s *setup) installForTests(ctx context.Context) error {
	err := errors.Join(
		s.installMissing(ctx, instance.PostgresInstalled, "postgresql"),
		s.installMissing(ctx, instance.RabbitMQInstalled, "rabbitmq-server"),
	)
	if err != nil {
		return fmt.Errorf("the fault tests start servers of their own, and their programs are missing: %w", err)
	}

	if err := s.installMissing(ctx, s.chromiumInstalled, "chromium"); err != nil {
		return fmt.Errorf("the documentation and the console are tested in Chromium, and it is missing: %w", err)
	}

	return nil
}

// chromiumInstalled looks where the tests look.
func (s *setup) chromiumInstalled() error {
	for _, name := range []string{s.env("CHROMIUM"), "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"} {
		if name == "" {
			continue
		}

		if _, err := exec.LookPath(name); err == nil {
			return nil
		}
	}

	return errors.New("there is no /usr/bin/chromium")
}
