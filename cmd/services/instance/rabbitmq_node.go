package instance

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Ctl runs rabbitmqctl against this node, such as Ctl(ctx, "list_queues",
// "name", "messages"), and returns what it prints, without headings about what
// it is doing. The error of a failed command contains what it said, and matches
// ErrNotRunning where the server does not run.
func (r *RabbitMQ) Ctl(ctx context.Context, args ...string) (string, error) {
	if !r.Running() {
		return "", fmt.Errorf("running rabbitmqctl %s: %w", strings.Join(args, " "), ErrNotRunning)
	}

	cmd := exec.CommandContext(ctx, r.programs.ctl, append([]string{"--quiet", "--node", r.known.Node}, args...)...)
	cmd.Dir, cmd.Env = r.dir.data(), r.environment()
	cmd.SysProcAttr = sysProcAttr(command{account: r.account})
	cmd.WaitDelay = time.Second

	var out, fault bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &fault

	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("running rabbitmqctl %s: %w\n%s%s", strings.Join(args, " "), err, &out, &fault)
	}

	return out.String(), nil
}

// Flush returns when everything declared so far would survive a Kill. The
// broker does not wait for that itself: it notes a new quorum queue half a
// second late, and a queue that it forgot in a kill comes back empty and without a
// leader, whatever was confirmed to its publishers. So a test that kills the
// broker soon after it declared a queue calls Flush in between.
func (r *RabbitMQ) Flush(ctx context.Context) error {
	_, err := r.Ctl(ctx, "eval", "[ok = dets:sync(T) || T <- dets:all()].")
	return err
}

// identify gives a new node its name and password. They are part of its data
// and never change.
func (r *RabbitMQ) identify() {
	if r.known.Node == "" {
		r.known.Node = fmt.Sprintf("chat-%s@localhost", strings.ToLower(rand.Text()[:8]))
		r.known.Password = rand.Text()
	}
}

// chooseInnerPorts finds new ports for what is nobody's business but the
// node's, at each start: somebody may have taken the former ones meanwhile.
func (r *RabbitMQ) chooseInnerPorts(ctx context.Context) error {
	ports, taken, err := freePorts(ctx, 2)
	if err != nil {
		return err
	}

	// The node makes sure itself that its cluster port is free, on every address,
	// and takes both within the first second.
	taken.release()

	r.known.ClusterPort, r.known.MapperPort = ports[0], ports[1]
	r.known.TLSPort, err = r.choosePort(ctx, 0, 0)

	return err
}

// configure writes the configuration, anew at each start, and hands everything
// to the server's account.
func (r *RabbitMQ) configure() error {
	if err := os.MkdirAll(r.dir.data(), 0o700); err != nil {
		return fmt.Errorf("creating the data folder: %w", err)
	}

	secure, err := r.secure()
	if err != nil {
		return err
	}

	files := map[string]string{
		"rabbitmq.conf":   r.settings(secure),
		"enabled_plugins": "[" + strings.Join(r.config.Plugins, ",") + "].\n",
	}
	for name, text := range files {
		path := filepath.Join(r.dir.data(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("writing the configuration: %w", err)
		}

		if err := r.account.own(path); err != nil {
			return err
		}
	}

	return r.account.own(r.dir.data())
}

func (r *RabbitMQ) settings(secure map[string]string) string {
	settings := map[string]string{
		"listeners.tcp.1": "127.0.0.1:" + strconv.Itoa(r.known.Port),
		// Not guest/guest: every account of this machine can reach the port.
		"default_user": "chat",
		"default_pass": r.known.Password,
		// To server.log, which is where start-up faults go anyway.
		"log.console": "true",
		"log.file":    "false",
	}
	maps.Copy(settings, secure)
	maps.Copy(settings, r.config.Settings)

	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&text, "%s = %s\n", name, settings[name])
	}

	return text.String()
}

// environment moves everything that a node shares with others by default into
// its own folder and onto its own ports.
func (r *RabbitMQ) environment() []string {
	data := r.dir.data()
	// Erlang would start a missing port mapper by itself, as a daemon that
	// outlives everything.
	erlang := "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false"

	return append(serverEnvironment(data),
		"RABBITMQ_NODENAME="+r.known.Node,
		"RABBITMQ_MNESIA_BASE="+filepath.Join(data, "mnesia"),
		"RABBITMQ_LOG_BASE="+filepath.Join(data, "log"),
		"RABBITMQ_CONFIG_FILE="+filepath.Join(data, "rabbitmq.conf"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(data, "enabled_plugins"),
		"RABBITMQ_PID_FILE="+filepath.Join(data, "pid"),
		"RABBITMQ_LOG=-color",
		// The machine's own server has its environment there.
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_DIST_PORT="+strconv.Itoa(r.known.ClusterPort),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+erlang,
		// 0: whatever the kernel gives, so that several may run at a time.
		"RABBITMQ_CTL_DIST_PORT_MIN=0",
		"RABBITMQ_CTL_DIST_PORT_MAX=0",
		"RABBITMQ_CTL_ERL_ARGS="+erlang,
		"ERL_EPMD_PORT="+strconv.Itoa(r.known.MapperPort),
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"ERL_CRASH_DUMP="+filepath.Join(data, "erl_crash.dump"),
		// The start script then becomes the server instead of waiting for it
		// as a child: the process we start is the one to signal, and the death
		// signal reaches it.
		"RUNNING_UNDER_SYSTEMD=true",
	)
}
