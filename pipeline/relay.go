package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"chat-messaging/queries"
)

// How events are routed on the delivery exchange.
const (
	// RoutingFanIn: one delivery service takes all events and fans them out. An
	// event that nobody takes is an alarm, and waits.
	RoutingFanIn = "fanin"
	// RoutingUser: the routing key is the user's id. A user who is offline has no
	// queue, so an event that nobody takes is done.
	RoutingUser = "user"
)

// RelayConfig configures a Relay.
type RelayConfig struct {
	// DB holds the outbox. Required.
	DB *queries.DB
	// Publisher publishes to the delivery exchange. Required, and nobody else's.
	Publisher *Publisher
	// Routing is RoutingFanIn (default) or RoutingUser.
	Routing string
	// Batch is how many events are under way at a time, unless a single row has
	// more. Default 1000.
	Batch int
	// Poll is how often the outbox is read when nobody says that there is
	// something. Default 250 ms.
	Poll time.Duration
	// Sweep is how often it is read from the start, for rows that were committed
	// behind others with a higher id. Default 2 s.
	Sweep time.Duration
	// Standby is how often a relay that is not the leader tries to be. Default 1 s.
	Standby time.Duration
	// Observe hears what the relay does. Default nobody.
	Observe RelayObserver
	// Tracer makes a span of each window. Default: none are made.
	Tracer trace.Tracer
	// Logger is required.
	Logger *slog.Logger
}

// RelayObserver hears of the relay's work. All are called by one goroutine.
type RelayObserver interface {
	// Dispatched: events confirmed, or in RoutingUser unroutable and so done, and
	// how long the oldest of them was in the outbox.
	Dispatched(confirmed, unroutable int, oldest time.Duration)
	// Held: events that could not be dispatched and stay.
	Held(events int)
}

type nobody struct{}

func (nobody) Dispatched(int, int, time.Duration) {}
func (nobody) Held(int)                           {}

func (c *RelayConfig) setDefaults() {
	if c.Routing == "" {
		c.Routing = RoutingFanIn
	}
	if c.Batch == 0 {
		c.Batch = 1000
	}
	if c.Poll == 0 {
		c.Poll = 250 * time.Millisecond
	}
	if c.Sweep == 0 {
		c.Sweep = 2 * time.Second
	}
	if c.Standby == 0 {
		c.Standby = time.Second
	}
	if c.Observe == nil {
		c.Observe = nobody{}
	}
	if c.Tracer == nil {
		c.Tracer = noop.NewTracerProvider().Tracer("")
	}
}

func (c *RelayConfig) validate() error {
	var errs []error
	if c.DB == nil {
		errs = append(errs, errors.New("DB is required"))
	}
	if c.Publisher == nil {
		errs = append(errs, errors.New("Publisher is required"))
	}
	if c.Logger == nil {
		errs = append(errs, errors.New("Logger is required"))
	}
	if c.Routing != RoutingFanIn && c.Routing != RoutingUser {
		errs = append(errs, fmt.Errorf("Routing is %q and must be %s or %s", c.Routing, RoutingFanIn, RoutingUser))
	}
	return errors.Join(errs...)
}

// Relay moves events from the outbox to the broker:
//
//	read rows by id ──▶ publish, pipelined ──▶ confirms ──▶ delete the rows
//	      ▲                                                     │
//	      └────────── woken by commits, else by the clock ◀─────┘
//
// Rows that its own process commits are offered to it, and then not read back.
//
// A row is deleted only once its events are confirmed, and those that are leave it
// before, so an event can go out twice (the service dies in between, a confirm gets
// lost), always with the same id, and can never be missing. One relay works at a time: it holds a lock in the very
// session that deletes.
//
// It does not wait for other transactions. Reading only rows below the oldest
// open transaction would let a backup stop all dispatch; here a row that is
// committed late, behind one with a higher id, is found by the next sweep, and
// within a chat that cannot happen, because a chat's lock is held from before its
// ids are drawn until the commit.
type Relay struct {
	cfg     RelayConfig
	wake    chan struct{}
	offer   offer
	leading atomic.Bool
	state   atomic.Pointer[relayState]

	mu     sync.Mutex
	drains map[chan struct{}]struct{} // each closed when the outbox is found empty
}

type relayState struct{ err error }

// NewRelay checks the configuration.
func NewRelay(cfg RelayConfig) (*Relay, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("invalid relay config: %w", err)
	}
	r := &Relay{cfg: cfg, wake: make(chan struct{}, 1), drains: map[chan struct{}]struct{}{}}
	r.state.Store(&relayState{err: errors.New("not started")})
	return r, nil
}

// Wake says that there are new rows. It never blocks, and may be called by anybody.
func (r *Relay) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Offer is Wake by who has just committed these rows, all that its transaction has
// written, and need not be asked for them. What the relay cannot use it reads. It never
// blocks, and may be called by one goroutine. The rows are the relay's then.
//
// It is for the sake of a short way: where there are many events it is longer anyway,
// and they wait in the outbox, not in memory.
func (r *Relay) Offer(rows []queries.OutboxRow) {
	r.offer.put(rows, max(r.cfg.Batch/4, 1))
	r.Wake()
}

// Leading tells whether this relay is the one that works.
func (r *Relay) Leading() bool { return r.leading.Load() }

// Err returns nil while the relay dispatches or stands by for another one that
// does, and why not otherwise.
func (r *Relay) Err() error { return r.state.Load().err }

func (r *Relay) setErr(err error) { r.state.Store(&relayState{err: err}) }

// Run relays until the context ends, whatever fails in between. A window that
// is under way then is finished first, and its rows deleted.
func (r *Relay) Run(ctx context.Context) {
	pauses := NewPauses(100*time.Millisecond, 5*time.Second)
	for ctx.Err() == nil {
		outbox, err := r.cfg.DB.LockOutbox(ctx)
		pause := r.cfg.Standby
		switch {
		case err != nil:
			pause = pauses.NextBackOff()
			r.setErr(err)
			r.cfg.Logger.Warn("the relay cannot reach the outbox", "err", err, "pause", pause)
		case outbox == nil:
			r.setErr(nil)
			pauses.Reset()
		default:
			r.setErr(nil)
			progress, err := r.lead(ctx, outbox)
			outbox.Close()
			if progress {
				// Not for getting the lock alone: a session that breaks at each
				// delete publishes the same events each time.
				pauses.Reset()
			}
			if err != nil && ctx.Err() == nil {
				r.setErr(err)
				r.cfg.Logger.Warn("the relay lost the outbox", "err", err)
				pause = pauses.NextBackOff()
			}
		}
		wait(ctx, pause, nil)
	}
	r.setErr(errors.New("stopped"))
}

// lead works through the outbox for as long as the session lasts. It reports
// whether it got anywhere.
func (r *Relay) lead(ctx context.Context, outbox *queries.Outbox) (progress bool, err error) {
	r.cfg.Logger.Info("this relay dispatches the outbox")
	l := &leader{
		Relay: r, outbox: outbox, held: map[int64]*hold{},
		pauses: NewPauses(100*time.Millisecond, 5*time.Second),
	}
	defer l.abandon()
	r.offer.begin()
	defer r.offer.end()
	r.leading.Store(true)
	defer r.leading.Store(false)
	for ctx.Err() == nil {
		// Only who asked before the reading began may rely on it.
		waiting := r.waiting()
		if len(waiting) > 0 {
			l.rewind()
		}
		l.empty = false
		more, err := l.round(ctx)
		if err != nil {
			return l.progress, err
		}
		if l.empty {
			r.drained(waiting)
		}
		if err := l.pauseAfter(ctx, more); err != nil {
			return l.progress, err
		}
	}
	return l.progress, l.finish(ctx)
}

func (r *Relay) waiting() []chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.drains))
}

func (r *Relay) drained(waiting []chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, drain := range waiting {
		if _, ok := r.drains[drain]; ok {
			delete(r.drains, drain)
			close(drain)
		}
	}
}

// Drain returns when the outbox has been found empty, or at the end of the
// context. A relay that does not lead has nothing to drain.
func (r *Relay) Drain(ctx context.Context) error {
	drain := make(chan struct{})
	r.mu.Lock()
	r.drains[drain] = struct{}{}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.drains, drain)
		r.mu.Unlock()
	}()
	r.Wake()
	for r.Leading() {
		select {
		case <-drain:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("draining the outbox: %w", context.Cause(ctx))
		case <-time.After(r.cfg.Poll):
		}
	}
	return nil
}

// wait returns after d, when woken, or at the end of the context.
func wait(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-timer.C:
	}
}
