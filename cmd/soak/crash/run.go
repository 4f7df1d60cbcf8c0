package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"chat-messaging/cmd/bench/process"
	"chat-messaging/middleware/failpoint"
)

// Config configures a Run.
type Config struct {
	// Ground is what it works on. Required.
	Ground GroundConfig
	// Servers are the servers, which runs may share. Required.
	Servers *Servers
	// Service is the path of a binary that Build has made. Required.
	Service string
	// Recorder makes the command of a process that calls Record. Required.
	Recorder func(RecorderSetup) (process.Command, error)
	// Dir is a folder for files. Required.
	Dir string
	// Seed makes the script and the order of the deaths.
	Seed uint64
	// Mutant is a mistake that the service makes. Default none.
	Mutant failpoint.Mutant
	// Settle is how long the end may take. Default three minutes: a machine may be
	// busy.
	Settle time.Duration
}

// Run is one run on a ground of its own: Open, whatever is to happen, Finish,
// Close. It serves one goroutine.
type Run struct {
	cfg       Config
	dir       string
	ground    *ground
	script    *Script
	producer  *producer
	recording *recording
	recorder  *keeper
	lives     []*life // the services that run, the eldest first
	ends      chan *life

	deaths map[failpoint.Point]int // of the service, by place; "" is a moment
	// faults are what else may make the service dispatch an event again.
	faults int
	// window is how many events one fault can repeat.
	window int
	// databaseKills and brokerKills are those of the servers before the run began.
	databaseKills, brokerKills int64
	// direct are messages that somebody else stored beside the service.
	direct []*Entry
}

// relayWindow is how many events the service has under way to the broker at once.
const relayWindow = 1000

// Open makes the ground and starts the recorder. The caller closes the run.
func Open(ctx context.Context, cfg Config) (*Run, error) {
	r, err := open(ctx, cfg)
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func open(ctx context.Context, cfg Config) (*Run, error) {
	if cfg.Settle == 0 {
		cfg.Settle = 3 * time.Minute
	}
	r := &Run{
		cfg: cfg, dir: filepath.Join(cfg.Dir, cfg.Ground.Name), deaths: map[failpoint.Point]int{}, window: relayWindow,
		ends:          make(chan *life, 16), // more than live at a time: nobody need listen
		databaseKills: cfg.Servers.databaseKills.Load(), brokerKills: cfg.Servers.brokerKills.Load(),
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return r, fmt.Errorf("making the run's folder: %w", err)
	}
	var err error
	if r.ground, err = newGround(ctx, cfg.Servers, cfg.Ground); err != nil {
		return r, fmt.Errorf("making the ground of %s: %w", cfg.Ground.Name, err)
	}
	r.script = NewScript(cfg.Seed, r.ground.chats)
	r.producer = &producer{broker: r.ground.broker, exchange: r.ground.topology.DatabaseExchange, script: r.script}
	r.recording = newRecording(filepath.Join(r.dir, "recording.jsonl"))
	r.recorder, err = keep(cfg, r.ground, r.recording.path)
	return r, err
}

// Close kills what still runs. Safe to call twice.
func (r *Run) Close() {
	for _, l := range r.lives {
		l.Kill()
	}
	if r.recorder != nil {
		_ = r.recorder.close()
	}
	if r.ground != nil {
		r.ground.close()
	}
}

// kills is how often the service was killed.
func (r *Run) kills() int {
	n := 0
	for _, deaths := range r.deaths {
		n += deaths
	}
	return n
}

// serverKills are the kills of both servers during the run.
func (r *Run) serverKills() (database, broker int) {
	return int(r.cfg.Servers.databaseKills.Load() - r.databaseKills), int(r.cfg.Servers.brokerKills.Load() - r.brokerKills)
}

// keeper starts a recorder again each time that it dies.
type keeper struct {
	cfg   Config
	setup RecorderSetup
	quit  chan struct{}
	done  chan struct{}

	mu    sync.Mutex
	child *process.Child
	died  int
	err   error
}

// keep starts the first recorder.
func keep(cfg Config, g *ground, file string) (*keeper, error) {
	k := &keeper{
		cfg: cfg, quit: make(chan struct{}), done: make(chan struct{}),
		setup: RecorderSetup{Broker: g.broker, Queue: g.recorderQueue, File: file, Exclusive: g.cfg.QueueType == "classic"},
	}
	child, err := k.start(0)
	if err != nil {
		close(k.done)
		return k, err
	}
	go k.keep(child)
	return k, nil
}

// start starts a recorder that dies after so many writes; 0: that lives.
func (k *keeper) start(writes int) (*process.Child, error) {
	setup := k.setup
	setup.DieAfter = writes
	command, err := k.cfg.Recorder(setup)
	if err != nil {
		return nil, err
	}
	command.Dir = filepath.Dir(setup.File)
	child, err := process.Start(command)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	k.child = child
	k.mu.Unlock()
	return child, nil
}

func (k *keeper) keep(child *process.Child) {
	defer close(k.done)
	for n := 1; ; n++ {
		select {
		case <-child.Ended():
		case <-k.quit:
			child.Kill() // at the end as in between
			k.mu.Lock()
			k.died++
			k.mu.Unlock()
			return
		}
		var err error
		if child.Killed() {
			k.mu.Lock()
			k.died++
			k.mu.Unlock()
			// Every other one kills itself where it hurts most.
			writes := 0
			if n%2 == 0 {
				writes = 20 * (1 + n%7)
			}
			child, err = k.start(writes)
		} else {
			err = child.Err()
		}
		if err != nil {
			k.mu.Lock()
			k.err = fmt.Errorf("recording: %w", err)
			k.mu.Unlock()
			return
		}
	}
}

// kill kills the recorder.
func (k *keeper) kill() {
	k.mu.Lock()
	child := k.child
	k.mu.Unlock()
	child.Kill()
}

// deaths is how often a recorder died.
func (k *keeper) deaths() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.died
}

// close ends the recorder for good, and returns what went wrong with it.
func (k *keeper) close() error {
	select {
	case <-k.quit:
	default:
		close(k.quit)
	}
	<-k.done
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// await polls until done says so. It returns an error when the context ends.
func await(ctx context.Context, what string, done func() (bool, error)) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		ok, err := done()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, errors.Join(context.Cause(ctx), err))
		case <-ticker.C:
		}
	}
}
