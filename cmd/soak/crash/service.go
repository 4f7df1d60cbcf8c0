package crash

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"

	"chat-messaging/cmd/bench/process"
	"chat-messaging/middleware/failpoint"
)

// Build builds the service so that it can be told to crash, into dir, and returns
// its path.
func Build(ctx context.Context, dir string, race bool) (string, error) {
	path := filepath.Join(dir, "chat-messaging")
	args := []string{"build", "-buildvcs=false", "-tags", "failpoints", "-o", path}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "chat-messaging/cmd/chat-messaging")...)
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the service: %w\n%s", err, said)
	}
	return path, nil
}

// death is where a service is told to die; the zero value lets it live.
type death struct {
	point  failpoint.Point
	visits int
}

// serve starts the service on the ground.
func (r *Run) serve(d death) error {
	env := append(r.ground.environ(), "PATH=/usr/bin:/bin")
	if d.point != "" {
		env = append(env, failpoint.EnvPoint+"="+string(d.point)+":"+strconv.Itoa(d.visits))
	}
	if r.cfg.Mutant != "" {
		env = append(env, failpoint.EnvMutant+"="+string(r.cfg.Mutant))
	}
	child, err := process.Start(process.Command{Path: r.cfg.Service, Args: []string{"serve"}, Env: env, Dir: r.dir})
	if err != nil {
		return err
	}
	r.service = child
	return nil
}

// died waits for the service to kill itself. It is an error if it ends in any
// other way.
func (r *Run) died(ctx context.Context) error {
	select {
	case <-r.service.Ended():
		if !r.service.Killed() {
			return fmt.Errorf("not by a kill: %w", r.service.Err())
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// kill kills the service, which must not have ended otherwise.
func (r *Run) kill() error {
	r.service.Kill()
	if !r.service.Killed() {
		return fmt.Errorf("not by a kill: %w", r.service.Err())
	}
	return nil
}

// errEnded: the service ended although nobody killed it.
var errEnded = errors.New("the service ended by itself")
