package instance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// handshakeTimeout bounds one try to connect, the whole handshake included.
const handshakeTimeout = 10 * time.Second

// RabbitMQConfig says where and how a private RabbitMQ server runs.
type RabbitMQConfig struct {
	// Dir is the server's folder, required. It is created where it is missing;
	// data of an earlier server in it are used again.
	Dir string
	// Port for AMQP on 127.0.0.1. 0: the one the folder had before if it is
	// still free, else any free one. It never changes between Start and Start.
	Port int
	// Settings are lines of rabbitmq.conf, such as
	// "vm_memory_high_watermark.absolute": "200MB". Nil: RabbitMQ's defaults.
	Settings map[string]string
	// TLS opens another port, for TLSURL. Nil: none.
	TLS *TLS
	// Plugins to enable, such as "rabbitmq_management". Nil: none, which
	// starts fastest.
	Plugins []string
	// Detached lets the server outlive this process. False: it dies with it.
	Detached bool
}

// RabbitMQ is a private RabbitMQ server. Its methods are safe for concurrent
// use; a call waits for the one before it.
type RabbitMQ struct {
	server
	config   RabbitMQConfig
	account  account
	programs rabbitmq
	known    memory
}

// StartRabbitMQ starts a server and returns when it takes AMQP connections. A
// server that already runs in the folder is taken over as it is. Errors match
// ErrNotInstalled and ErrUnreachable.
func StartRabbitMQ(ctx context.Context, config RabbitMQConfig) (*RabbitMQ, error) {
	r, err := newRabbitMQ(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("starting RabbitMQ: %w", err)
	}

	if err := r.Start(ctx); err != nil {
		return nil, err
	}

	return r, nil
}

// AttachRabbitMQ returns the server that runs in dir, started by this process
// or by another one, and ErrNotRunning where none does.
func AttachRabbitMQ(dir string) (*RabbitMQ, error) {
	f, known, err := runningIn(dir)
	if err != nil {
		return nil, fmt.Errorf("attaching to RabbitMQ in %s: %w", dir, err)
	}

	r, err := openRabbitMQ(f, RabbitMQConfig{Dir: dir, Detached: true})
	if err != nil {
		return nil, fmt.Errorf("attaching to RabbitMQ in %s: %w", dir, err)
	}

	r.known, r.main, r.others = known, known.Processes[0], known.Processes[1:]

	return r, nil
}

func newRabbitMQ(ctx context.Context, config RabbitMQConfig) (*RabbitMQ, error) {
	f, err := openFolder(config.Dir)
	if err != nil {
		return nil, err
	}

	r, err := openRabbitMQ(f, config)
	if err != nil {
		return nil, err
	}

	if err := r.account.enter(f.path); err != nil {
		return nil, err
	}

	if r.known, err = f.recall(); err != nil {
		return nil, err
	}

	if r.main = r.known.main(); r.main.alive() {
		r.others = r.known.Processes[1:]
		return r, nil
	}

	r.identify()
	r.known.Port, err = r.choosePort(ctx, config.Port, r.known.Port)

	return r, err
}

func openRabbitMQ(f folder, config RabbitMQConfig) (*RabbitMQ, error) {
	account, err := serverAccount("rabbitmq", "nobody")
	if err != nil {
		return nil, err
	}

	programs, err := rabbitPrograms()
	if err != nil {
		return nil, err
	}

	return &RabbitMQ{server: server{dir: f}, config: config, account: account, programs: programs}, nil
}

// URL is where the server listens: its virtual host "/" as the administrator.
// It stays the same over every restart.
func (r *RabbitMQ) URL() string {
	u := url.URL{
		Scheme: "amqp",
		User:   url.UserPassword("chat", r.known.Password),
		Host:   net.JoinHostPort("127.0.0.1", strconv.Itoa(r.known.Port)),
		Path:   "/",
	}

	return u.String()
}

// TLSURL is URL on the port with TLS, which changes from Start to Start.
func (r *RabbitMQ) TLSURL() string {
	u := url.URL{
		Scheme: "amqps",
		User:   url.UserPassword("chat", r.known.Password),
		Host:   net.JoinHostPort("127.0.0.1", strconv.Itoa(r.known.TLSPort)),
		Path:   "/",
	}

	return u.String()
}

// Start brings a stopped or killed server back with the same data on the same
// port, and returns when it takes AMQP connections. Quorum queues may need some
// moments more to elect their leader. It does nothing where the server runs.
func (r *RabbitMQ) Start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()

	if r.main.alive() {
		return nil
	}

	if err := r.start(ctx); err != nil {
		return fmt.Errorf("starting RabbitMQ in %s: %w", r.dir.path, err)
	}

	return nil
}

// Stop shuts the server down in order and returns when all its processes are
// gone. If ctx ends first the server is killed and the error says so. Stopping
// a stopped server does nothing.
func (r *RabbitMQ) Stop(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.stop(ctx, syscall.SIGTERM)
}

func (r *RabbitMQ) start(ctx context.Context) error {
	log, err := r.dir.openLog()
	if err != nil {
		return err
	}
	defer log.Close()

	if err := r.chooseInnerPorts(ctx); err != nil {
		return err
	}

	if err := r.configure(); err != nil {
		return err
	}

	mapper, err := spawn(command{
		path: r.programs.epmd,
		args: []string{"-port", strconv.Itoa(r.known.MapperPort), "-address", "127.0.0.1"},
		env:  r.environment(), dir: r.dir.data(), account: r.account, log: log,
		detached: r.config.Detached, deathSignal: syscall.SIGKILL,
	})
	if err != nil {
		return err
	}
	r.others = []*process{mapper}

	r.main, err = spawn(command{
		path: r.programs.server,
		env:  r.environment(), dir: r.dir.data(), account: r.account, log: log,
		detached: r.config.Detached, deathSignal: syscall.SIGKILL,
	})
	if err != nil {
		return errors.Join(err, r.kill())
	}

	r.known.Processes = []*process{r.main, mapper}
	if err := r.dir.remember(r.known); err != nil {
		return errors.Join(err, r.kill())
	}

	return r.ready(ctx, r.probe)
}

func (r *RabbitMQ) probe(context.Context) error {
	conn, err := amqp.DialConfig(r.URL(), amqp.Config{Dial: amqp.DefaultDial(handshakeTimeout)})
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}

	if err := conn.Close(); err != nil {
		return fmt.Errorf("connecting: %w", err)
	}

	return nil
}
