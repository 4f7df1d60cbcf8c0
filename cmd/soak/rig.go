package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"chat-messaging/cmd/soak/crash"
)

// rig is what every run needs: the servers and the service's binary.
type rig struct {
	settings settings
	progress io.Writer
	dir      string
	servers  *crash.Servers
	service  string
}

// newRig starts the servers and builds the service. The caller closes it even
// after an error.
func newRig(ctx context.Context, s settings, progress io.Writer) (*rig, error) {
	r := &rig{settings: s, progress: progress}
	var err error
	if r.dir, err = os.MkdirTemp(s.Dir, "chat-messaging-soak-*"); err != nil {
		return r, fmt.Errorf("making a folder for the servers: %w", err)
	}
	// The servers run as accounts of their own and must get through.
	if err := os.Chmod(r.dir, 0o755); err != nil { //nolint:gosec // see above
		return r, fmt.Errorf("making a folder for the servers: %w", err)
	}
	r.say("starting private servers in %s, building the service", r.dir)
	var g errgroup.Group
	g.Go(func() (err error) {
		r.servers, err = crash.StartServers(ctx, filepath.Join(r.dir, "servers"), s.Volatile)
		return err
	})
	g.Go(func() (err error) {
		r.service, err = crash.Build(ctx, r.dir, s.Race)
		return err
	})
	return r, g.Wait()
}

func (r *rig) close() error {
	var errs []error
	if r.servers != nil {
		errs = append(errs, r.servers.Close())
	}
	if r.dir != "" {
		errs = append(errs, os.RemoveAll(r.dir)) //nolint:gosec // made by this program, where the operator said
	}
	return errors.Join(errs...)
}

func (r *rig) say(format string, args ...any) {
	_, _ = fmt.Fprintf(r.progress, format+"\n", args...)
}

// config is what all runs have in common.
func (r *rig) config() crash.Config {
	return crash.Config{
		Servers: r.servers, Service: r.service, Recorder: recorderCommand, Dir: r.dir, Seed: r.settings.Seed,
	}
}
