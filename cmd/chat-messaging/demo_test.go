package main

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
)

var demoExchange = regexp.MustCompile(`exchange "(demo\.([0-9a-f]{8})\.)`)

// requireNoTrace makes sure that the demo has taken everything of its own away,
// and that it had something of its own.
func (c *corner) requireNoTrace(stdout string) {
	c.t.Helper()
	names := demoExchange.FindStringSubmatch(stdout)
	require.NotNil(c.t, names, stdout)
	require.Zero(c.t, c.count("pg_catalog.pg_namespace WHERE nspname = 'demo_"+names[2]+"'"))
	cfg := c.config()
	for _, queue := range []string{cfg.DatabaseQueueName, cfg.PoisonQueueName} {
		c.onChannel(func(ch *amqp.Channel) {
			_, err := ch.QueueDeclarePassive(names[1]+queue, true, false, false, false, nil)
			require.ErrorContains(c.t, err, "NOT_FOUND")
		})
	}
	for _, exchange := range []string{cfg.DatabaseExchangeName, cfg.DeliveryExchangeName} {
		c.onChannel(func(ch *amqp.Channel) {
			err := ch.ExchangeDeclarePassive(names[1]+exchange, "direct", true, false, false, false, nil)
			require.ErrorContains(c.t, err, "NOT_FOUND")
		})
	}
}

func TestTheDemoShowsEveryOutcomeAndLeavesNoTrace(t *testing.T) {
	t.Parallel()
	for _, queueType := range []string{"classic", "quorum"} {
		t.Run(queueType, func(t *testing.T) {
			t.Parallel()
			// Settings that would be in its way in production are not in a demo.
			c := newCorner(t, "QUEUE_TYPE="+queueType, "KEY=", "DELIVERY_ROUTING=user", "COMPONENTS=http", "AMQP_DECLARE=false")
			got := c.execute(t.Context(), "", "demo")
			require.Equal(t, exitOK, got.code, got.stderr)
			require.Empty(t, got.stderr)
			for _, outcome := range []string{
				"delivered", "repeated", "rejected duplicated", "rejected unknown_chat", "rejected not_related", "poisoned malformed_json",
			} {
				require.Regexp(t, `(?m)^ok .*  `+outcome+`  `, got.stdout)
			}
			require.Contains(t, got.stdout, "All 6 outcomes are right.")
			c.requireNoTrace(got.stdout)
			require.Zero(t, c.count("messages"), "it keeps out of the configured schema")
		})
	}
}

func TestTheDemoFailsIfAnOutcomeIsWrong(t *testing.T) {
	t.Parallel()
	c := newCorner(t, "POLICY_FILE="+writeFile(t, "@id(\"everybody\")\npermit(principal, action, resource);"))
	got := c.execute(t.Context(), "", "demo")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stdout, "WRONG, expected rejected not_related")
	require.Contains(t, got.stderr, "1 of 6 outcomes are wrong")
	c.requireNoTrace(got.stdout)
}

func TestTheDemoSaysWhatIsAway(t *testing.T) {
	t.Parallel()
	for name, setting := range map[string]string{
		"broker":   "RABBITMQ_URL=amqp://u:hunter2@127.0.0.1:1/",
		"database": "DATABASE_URL=postgres://u:hunter2@127.0.0.1:1/d?sslmode=disable",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCorner(t)
			environ := slices.Concat(c.environ, []string{setting})
			got := execute(t, environ, "demo")
			require.Equal(t, exitFailed, got.code)
			require.Contains(t, got.stderr, "connect")
			require.NotContains(t, got.stdout+got.stderr, "hunter2")
		})
	}
}

// A demo that is to stay serves on the configured names until Ctrl-C.
func TestTheDemoGoesOnServing(t *testing.T) {
	t.Parallel()
	c := newCorner(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout, stderr output
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"demo", "--keep"}, strings.NewReader(""), &stdout, &stderr, c.environ)
	}()
	eventually(t, "it does not say that it runs", func() bool {
		return strings.Contains(stdout.String(), "The service is running")
	})
	require.Contains(t, stdout.String(), "All 3 outcomes are right.")
	require.Equal(t, 3, c.count("messages"))

	c.awaitBound("")
	chat := strings.TrimSpace(c.execute(t.Context(), "", "chat", "--users", "1,2").stdout)
	c.send(say(t, chat, "mine", 1, 2, "Hello from the other terminal"))
	eventually(t, "it does not print what is dispatched", func() bool {
		return strings.Contains(stdout.String(), "Hello from the other terminal")
	})
	cancel()
	require.Equal(t, exitOK, receive(t, code, "the demonstration does not end"), stderr.String())
	require.Equal(t, 4, c.count("messages"), "it stays")
}
