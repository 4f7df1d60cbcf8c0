package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"chat-messaging/middleware/failpoint"
)

// StormConfig says how long the service is killed and how much it has to do
// meanwhile.
type StormConfig struct {
	// Kills ends the storm after so many deaths of the service, For after so much
	// time; what comes first. 0: not by that.
	Kills int
	For   time.Duration
	// Instances is how many services there are at a time, of which one works.
	// Required.
	Instances int
	// Rate is how many messages a second are sent. Required.
	Rate int
	// Ahead is how many events may be missing before no more is sent. Required.
	Ahead int
	// Progress is called after each death. Default none.
	Progress func(kills, sent int)
}

// unreached is how long a service may take to get to the place where it is to
// die; then it is killed where it is.
const unreached = 5 * time.Second

// Storm sends messages and kills the service, each time at another place, and
// the recorder now and then.
func (r *Run) Storm(ctx context.Context, cfg StormConfig) error {
	r.window = min(relayWindow, cfg.Ahead)
	deck := &deck{random: rand.New(rand.NewPCG(r.cfg.Seed, 1))} //nolint:gosec // a run can be repeated
	over := make(chan struct{})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.traffic(ctx, cfg, over) })
	g.Go(func() error {
		defer close(over)
		began := time.Now()
		for (cfg.Kills == 0 || r.kills() < cfg.Kills) && (cfg.For == 0 || time.Since(began) < cfg.For) {
			if err := r.dieOnce(ctx, deck, cfg.Instances); err != nil {
				return err
			}
			if cfg.Progress != nil {
				cfg.Progress(r.kills(), r.script.Len())
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return fmt.Errorf("in the storm over %s: %w", r.cfg.Ground.Name, err)
	}
	return nil
}

// deck is where the service is to die next: every failpoint once, and one time
// out of five at any moment, in a random order; and again.
type deck struct {
	random *rand.Rand
	left   []failpoint.Point
}

func (k *deck) next() death {
	if len(k.left) == 0 {
		k.left = append(failpoint.Points(), "", "", "", "")
		k.random.Shuffle(len(k.left), func(i, j int) { k.left[i], k.left[j] = k.left[j], k.left[i] })
	}
	d := death{point: k.left[0], visits: 1 + k.random.IntN(12)}
	k.left = k.left[1:]
	switch d.point {
	case failpoint.AfterDeliver, failpoint.RelayMidWindow: // visited with each message
		d.visits = 1 + k.random.IntN(400)
	case failpoint.PoisonBeforeConfirm, failpoint.PoisonAfterConfirm: // seldom
		d.visits = 1 + k.random.IntN(4)
	default:
	}
	return d
}

// dieOnce starts the service, as many instances as there are to be, and waits
// until one of them has died, at its failpoint or at any moment, also while it
// starts. The next one takes over.
func (r *Run) dieOnce(ctx context.Context, k *deck, instances int) error {
	for len(r.lives) < instances {
		if err := r.serve(k.next()); err != nil {
			return err
		}
	}
	limit := unreached
	if r.lives[0].death.point == "" {
		limit = time.Duration(k.random.IntN(1500)) * time.Millisecond
	}
	if k.random.IntN(10) == 0 {
		pause(ctx, time.Duration(k.random.IntN(1000))*time.Millisecond)
		r.recorder.kill()
	}
	return r.awaitDeath(ctx, limit)
}

// traffic sends messages until the storm is over.
func (r *Run) traffic(ctx context.Context, cfg StormConfig, over <-chan struct{}) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	due, last := 0.0, time.Now()
	for {
		select {
		case <-over:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case now := <-ticker.C:
			due = min(due+now.Sub(last).Seconds()*float64(cfg.Rate), float64(cfg.Ahead))
			last = now
		}
		seen, err := r.recording.read()
		if err != nil {
			return err
		}
		n := min(int(due), cfg.Ahead-(r.script.Events(r.script.Len())-seen))
		if n <= 0 {
			continue
		}
		due -= float64(n)
		r.script.Draw(n)
		if err := r.send(ctx); err != nil {
			return err
		}
	}
}

// send sends all that was drawn.
func (r *Run) send(ctx context.Context) error {
	return r.producer.send(ctx, r.script.Len())
}
