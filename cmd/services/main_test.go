package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"chat-messaging/cmd/services/instance"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// closedAddress is where nothing ever listens.
const closedAddress = "127.0.0.1:1"

// newMachine is a project folder on a machine where nothing listens, with the
// given environment and nothing else in it.
func newMachine(t *testing.T, env map[string]string) (*setup, *strings.Builder) {
	t.Helper()

	root, messages := t.TempDir(), new(strings.Builder)
	s := &setup{
		root:            root,
		data:            filepath.Join(root, ".data"),
		messages:        messages,
		env:             func(name string) string { return env[name] },
		postgresAddress: closedAddress,
		rabbitAddress:   closedAddress,
	}

	t.Cleanup(func() {
		require.NoError(t, s.down(context.Background(), true))
		t.Log("\n" + messages.String())
	})

	return s, messages
}

func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)

	return ctx
}

func TestUpOnABareMachineStartsPrivateServersOnce(t *testing.T) {
	t.Parallel()

	env := map[string]string{}
	s, messages := newMachine(t, env)
	ctx := within(t, 3*time.Minute)

	require.ErrorContains(t, s.status(ctx), "nothing answers there")
	s.lookOnly = false

	var exports strings.Builder
	require.NoError(t, s.up(ctx, &exports, true))
	require.Contains(t, messages.String(), "PostgreSQL: started a private server in "+s.data)
	require.Contains(t, messages.String(), "RabbitMQ: started a private server in "+s.data)
	require.Regexp(t, `^export DATABASE_URL='postgres://.*/chat_messaging\?sslmode=disable'
export RABBITMQ_URL='amqp://.*/'
$`, exports.String())

	var again strings.Builder
	require.NoError(t, s.up(ctx, &again, true))
	require.Equal(t, exports.String(), again.String(), "the second time they are found")

	// The addresses come back through the shell, and after that the servers end.
	for line := range strings.Lines(exports.String()) {
		name, value, _ := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		env[name] = strings.Trim(value, "'\n")
	}
	require.NoError(t, s.down(ctx, false))

	_, err := instance.AttachPostgres(s.privateFolder("postgres"))
	require.ErrorIs(t, err, instance.ErrNotRunning)
	_, err = instance.AttachRabbitMQ(s.privateFolder("rabbitmq"))
	require.ErrorIs(t, err, instance.ErrNotRunning)

	found, err := first(ctx, "PostgreSQL", postgresHint, s.postgresSteps())
	require.NoError(t, err, "its own address does not count as the user's choice")
	require.Equal(t, env["DATABASE_URL"], found.url)

	require.NoError(t, s.down(ctx, true))
	require.NoDirExists(t, s.data)
}

func TestVerbs(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]struct {
		args []string
		out  string
		err  string
	}{
		"no verb is a question for help": {nil, "services up [--binaries]", ""},
		"help":                           {[]string{"help"}, "services down [--delete-data]", ""},
		"an unknown verb":                {[]string{"begin"}, "", `no verb "begin"`},
		"an unknown flag":                {[]string{"up", "--fast"}, "", "not defined: -fast"},
		"an argument too many":           {[]string{"up", "postgres"}, "", `no argument "postgres"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			var out, messages strings.Builder

			err := run(t.Context(), test.args, &out, &messages)
			require.Contains(t, out.String(), test.out)
			if test.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.err)
		})
	}
}

func TestTheProjectIsFoundFromAnyOfItsFolders(t *testing.T) {
	t.Parallel()

	s, err := newSetup(t.Output())
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(s.root, "docker-compose.yaml"))

	here, err := os.Getwd()
	require.NoError(t, err)
	require.Equal(t, filepath.Join(s.root, "cmd", "services"), here)
}
