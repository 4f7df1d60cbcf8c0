package instance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/lib/pq"
)

// PostgresConfig says where and how a private PostgreSQL server runs.
type PostgresConfig struct {
	// Dir is the server's folder, required. It is created where it is missing;
	// data of an earlier server in it are used again.
	Dir string
	// Port on 127.0.0.1. 0: the one the folder had before if it is still free,
	// else any free one. It never changes between Start and Start.
	Port int
	// Settings are added to the server's configuration, such as
	// "max_connections": "300". Nil: PostgreSQL's own defaults.
	Settings map[string]string
	// StandbyOf is the URL of a running server: the new server begins as a copy
	// of it and follows it, under the same password, until it is promoted.
	// "": a server of its own, which starts empty.
	StandbyOf string
	// TLS lets in encrypted connections only, but for those of the superuser.
	// Nil: none are encrypted.
	TLS *TLS
	// Volatile switches all waiting for the disk off: faster, but a machine
	// that crashes corrupts the data, and a server that is killed may lose its
	// last commits unless Settings put synchronous_commit on. False: real
	// durability.
	Volatile bool
	// Detached lets the server outlive this process. False: it dies with it.
	Detached bool
}

// Postgres is a private PostgreSQL server. Its methods are safe for concurrent
// use; a call waits for the one before it.
type Postgres struct {
	server
	config   PostgresConfig
	account  account
	programs string
	known    memory
}

// StartPostgres starts a server and returns when it takes connections. A
// server that already runs in the folder is taken over as it is. Errors match
// ErrNotInstalled and ErrUnreachable.
func StartPostgres(ctx context.Context, config PostgresConfig) (*Postgres, error) {
	p, err := newPostgres(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("starting PostgreSQL: %w", err)
	}

	if err := p.Start(ctx); err != nil {
		return nil, err
	}

	return p, nil
}

// AttachPostgres returns the server that runs in dir, started by this process
// or by another one, and ErrNotRunning where none does.
func AttachPostgres(dir string) (*Postgres, error) {
	f, known, err := runningIn(dir)
	if err != nil {
		return nil, fmt.Errorf("attaching to PostgreSQL in %s: %w", dir, err)
	}

	p, err := openPostgres(f, PostgresConfig{Dir: dir, Detached: true})
	if err != nil {
		return nil, fmt.Errorf("attaching to PostgreSQL in %s: %w", dir, err)
	}

	p.known, p.main = known, known.Processes[0]

	return p, nil
}

func newPostgres(ctx context.Context, config PostgresConfig) (*Postgres, error) {
	f, err := openFolder(config.Dir)
	if err != nil {
		return nil, err
	}

	p, err := openPostgres(f, config)
	if err != nil {
		return nil, err
	}

	if err := p.account.enter(f.path); err != nil {
		return nil, err
	}

	if p.known, err = f.recall(); err != nil {
		return nil, err
	}

	if p.main = p.known.main(); p.main.alive() {
		return p, nil
	}

	p.known.Port, err = p.choosePort(ctx, config.Port, p.known.Port)

	return p, err
}

func openPostgres(f folder, config PostgresConfig) (*Postgres, error) {
	account, err := serverAccount("postgres", "nobody")
	if err != nil {
		return nil, err
	}

	programs, err := postgresProgramsFor(f)
	if err != nil {
		return nil, err
	}

	settled := func() { releaseSharedMemory(f.data()) }

	return &Postgres{server: server{dir: f, settled: settled}, config: config, account: account, programs: programs}, nil
}

// URL is where the server listens: its database "postgres" as the superuser.
// It stays the same over every restart.
func (p *Postgres) URL() string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword("postgres", p.known.Password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(p.known.Port)),
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}

	return u.String()
}

// Program is the path of one of the programs that come with the server, such as
// pg_dump, in the server's version.
func (p *Postgres) Program(name string) string { return filepath.Join(p.programs, name) }

// Start brings a stopped or killed server back with the same data on the same
// port, and returns when it takes connections, which is after crash recovery.
// It does nothing where the server runs.
func (p *Postgres) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.main.alive() {
		return nil
	}

	if err := p.start(ctx); err != nil {
		return fmt.Errorf("starting PostgreSQL in %s: %w", p.dir.path, err)
	}

	return nil
}

// Stop shuts the server down in order, breaking off its sessions ("fast"), and
// returns when all its processes are gone. If ctx ends first the server is
// killed and the error says so. Stopping a stopped server does nothing.
func (p *Postgres) Stop(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()

	return p.stop(ctx, syscall.SIGINT)
}

func (p *Postgres) start(ctx context.Context) error {
	log, err := p.dir.openLog()
	if err != nil {
		return err
	}
	defer log.Close()

	if err := p.initialize(ctx, log); err != nil {
		return err
	}

	secure, err := p.secure()
	if err != nil {
		return err
	}

	p.main, err = spawn(command{
		path:     filepath.Join(p.programs, "postgres"),
		args:     p.arguments(secure),
		env:      serverEnvironment(p.dir.path),
		dir:      p.dir.data(),
		account:  p.account,
		log:      log,
		detached: p.config.Detached,
		// "Immediate": the postmaster takes its children with it, which a
		// SIGKILL would leave behind, and removes its shared memory.
		deathSignal: syscall.SIGQUIT,
	})
	if err != nil {
		return err
	}

	p.known.Processes = []*process{p.main}
	if err := p.dir.remember(p.known); err != nil {
		return errors.Join(err, p.kill())
	}

	return p.ready(ctx, p.probe)
}

func (p *Postgres) probe(ctx context.Context) error {
	connector, err := pq.NewConnector(p.URL() + "&connect_timeout=5")
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}

	db := sql.OpenDB(connector)
	defer db.Close()

	if err := db.PingContext(ctx); err != nil {
		return fmt.Errorf("connecting: %w", err)
	}

	return nil
}
