package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"chat-messaging/cmd/soak/crash"
	"chat-messaging/pipeline"
)

// lane is one of the runs that go on side by side.
type lane struct {
	ground    crash.GroundConfig
	instances int
}

// lanes have quorum queues: a classic one may lose what it has confirmed when its
// broker is killed. In the first the service comes back, in the second a standby
// takes over.
func lanes() []lane {
	return []lane{
		{crash.GroundConfig{Name: "fan_in", QueueType: pipeline.QueueQuorum, Routing: pipeline.RoutingFanIn, Chats: 20}, 1},
		{crash.GroundConfig{Name: "by_user", QueueType: pipeline.QueueQuorum, Routing: pipeline.RoutingUser, Chats: 20}, 2},
	}
}

// soak kills until the time is over, and prints what has become of the messages.
func (r *rig) soak(ctx context.Context, stdout io.Writer) error {
	_, _ = fmt.Fprintf(stdout, "%g minutes, seed %d\n", r.settings.Minutes, r.settings.Seed)
	var runs []*crash.Run
	defer func() {
		for _, run := range runs {
			run.Close()
		}
	}()
	for i, lane := range lanes() {
		cfg := r.config()
		cfg.Ground, cfg.Seed = lane.ground, r.settings.Seed+uint64(i)
		run, err := crash.Open(ctx, cfg)
		if err != nil {
			return err
		}
		runs = append(runs, run)
	}
	if err := r.storms(ctx, runs); err != nil {
		return err
	}
	var audits []*crash.Audit
	for i, run := range runs {
		audit, err := run.Finish(ctx)
		if err != nil {
			return fmt.Errorf("finishing %s: %w", lanes()[i].ground.Name, err)
		}
		audits = append(audits, audit)
	}
	return r.judge(stdout, audits)
}

// storms kills everything in all lanes until the time is over. Afterwards
// nothing is killed any more: all must come to an end.
func (r *rig) storms(ctx context.Context, runs []*crash.Run) error {
	began := time.Now()
	weather, calm := context.WithCancel(ctx)
	defer calm()
	var weathers errgroup.Group
	weathers.Go(func() error { return r.weather(weather) })
	storms, ctx := errgroup.WithContext(ctx)
	for i, run := range runs {
		storms.Go(func() error { return run.Storm(ctx, r.storm(lanes()[i], began)) })
	}
	err := storms.Wait()
	calm()
	return errors.Join(err, weathers.Wait())
}

// storm is one lane's, which tells of itself now and then.
func (r *rig) storm(l lane, began time.Time) crash.StormConfig {
	told := time.Now()
	return crash.StormConfig{
		For: r.settings.length(), Instances: l.instances, Rate: r.settings.Rate, Ahead: r.settings.Ahead,
		Progress: func(kills, sent int) {
			if time.Since(told) > 15*time.Second {
				told = time.Now()
				r.say("%s: %s, %d messages sent, the service has died %d times", time.Since(began).Round(time.Second), l.ground.Name, sent, kills)
			}
		},
	}
}

// weather kills a server every half a minute or so, until the context ends. A
// server that is just coming back then is waited for.
func (r *rig) weather(ctx context.Context) error {
	random := rand.New(rand.NewPCG(r.settings.Seed, 2)) //nolint:gosec // a run can be repeated
	for {
		timer := time.NewTimer(20*time.Second + time.Duration(random.IntN(20_000))*time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		kill := r.servers.KillDatabase
		if random.IntN(3) == 0 {
			kill = r.servers.KillBroker
		}
		if err := kill(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
}

// judge prints the audits and says whether they prove anything.
func (r *rig) judge(stdout io.Writer, audits []*crash.Audit) error {
	kills, passed := 0, true
	for _, a := range audits {
		if err := a.Write(stdout); err != nil {
			return err
		}
		kills += a.Kills()
		passed = passed && a.Passed()
	}
	least := int(r.settings.LeastKills * r.settings.Minutes)
	_, _ = fmt.Fprintf(stdout, "the service died %d times, %d was the least wanted\n", kills, least)
	switch {
	case !passed:
		return errors.New("an invariant is violated")
	case kills < least:
		return errors.New("the service died too seldom for the run to prove anything")
	default:
		return nil
	}
}
