package crash

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

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

// life is one process of the service.
type life struct {
	*process.Child
	death death
	// cut: it was killed before it got to its death.
	cut bool
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
	l := &life{Child: child, death: d}
	r.lives = append(r.lives, l)
	go func() {
		<-l.Ended()
		r.ends <- l
	}()
	return nil
}

// awaitDeath waits until a service has died, the eldest one after so long at the
// latest, and counts it. It is an error if it ends in any other way.
func (r *Run) awaitDeath(ctx context.Context, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			r.lives[0].cut = true
			r.lives[0].Kill()
		case l := <-r.ends:
			return r.bury(l)
		}
	}
}

// bury counts a death.
func (r *Run) bury(l *life) error {
	r.lives = slices.DeleteFunc(r.lives, func(o *life) bool { return o == l })
	point := l.death.point
	if l.cut {
		point = ""
	}
	if !l.Killed() || point == "" && !l.cut {
		return fmt.Errorf("%w: %w", errEnded, l.Err())
	}
	r.deaths[point]++
	return nil
}

// errEnded: the service ended although nobody killed it.
var errEnded = errors.New("the service ended by itself")
