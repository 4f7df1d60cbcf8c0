package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"chat-messaging/http"
	"chat-messaging/queries/queriestest"
)

func TestStatusShowsTheRealService(t *testing.T) {
	t.Parallel()
	c := newCorner(t)
	chat := fmt.Sprint(queriestest.Chat(t, c.db, 1, 2))
	c.record("classic")
	app := c.run()
	awaitReady(t, app.url)
	read := func() (s http.Status, code int) {
		got := c.execute(t.Context(), "", "status", "-o", "json")
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &s), got.stdout)
		return s, got.code
	}
	eventually(t, "it never becomes healthy", func() bool {
		s, code := read()
		require.Equal(t, s.Healthy, code == exitOK)
		return s.Healthy
	})
	c.send(say(t, chat, "a", 1, 2, "Hello"), say(t, chat, "b", 3, 2, "Hi"), "no JSON")
	var s http.Status
	eventually(t, "the instance does not report the poisoned message", func() bool {
		s, _ = read()
		return s.Poison.Messages+len(s.Poisoned) > 0 && s.Rates != nil
	})
	require.Equal(t, c.config().DatabaseQueueName, s.Input.Name)
	require.Equal(t, c.config().Prefetch, s.Window)
	require.Equal(t, c.config().BatchSize, s.BatchLimit)
	require.Len(t, s.Instances, 1)
	require.Equal(t, s.Instances[0].ID, *s.Leader)
	require.Equal(t, "consuming", s.Instances[0].Consumer)
	require.False(t, s.Consumption.Paused)

	text := c.execute(t.Context(), "", "status")
	require.Equal(t, exitOK, text.code, text.stderr)
	require.True(t, strings.HasPrefix(text.stdout, "healthy  20"), text.stdout)
	require.NotContains(t, text.stdout, "\x1b", "no colours in a pipe")
	for _, want := range []string{c.config().DatabaseQueueName + ": 0 messages waiting, 1 consumer", "led by ", "consuming", "INSTANCE"} {
		require.Contains(t, text.stdout, want)
	}
	document := c.execute(t.Context(), "", "status", "-o", "yaml")
	var fromYAML struct{ Input struct{ Name string } }
	require.NoError(t, yaml.Unmarshal([]byte(document.stdout), &fromYAML), document.stdout)
	require.Equal(t, c.config().DatabaseQueueName, fromYAML.Input.Name)
	require.NotContains(t, document.stdout, "{\"")
}

func TestStatusOfAServiceThatIsDown(t *testing.T) {
	t.Parallel()
	broken := *newCorner(t)
	broken.environ = append(broken.environ, "RABBITMQ_URL=amqp://guest:guest@127.0.0.1:1/")
	got := broken.execute(t.Context(), "", "status")
	require.Equal(t, exitFailed, got.code)
	require.Equal(t, "chat-messaging: not healthy\n", got.stderr)
	for _, want := range []string{"NOT HEALTHY", "the broker: ", "no instance has been heard of", "nobody leads", "unknown"} {
		require.Contains(t, got.stdout, want)
	}
	unreachable := execute(t, []string{
		"DATABASE_URL=postgres://u:hidden@127.0.0.1:1/x?sslmode=disable", "RABBITMQ_URL=amqp://u:hidden@127.0.0.1:1/",
	}, "status")
	require.Equal(t, exitFailed, unreachable.code)
	require.Contains(t, unreachable.stdout, "the database: ")
	require.NotContains(t, unreachable.stdout+unreachable.stderr, "hidden")
	require.Equal(t, exitUsage, execute(t, nil, "status", "--every", "1ms").code)
	require.Equal(t, exitUsage, execute(t, nil, "status", "-o", "xml").code)
}

func TestStatusWatchIsPlainInAPipe(t *testing.T) {
	t.Parallel()
	for form, separator := range map[string]string{"table": "NOT HEALTHY", "json": `"healthy":false`, "yaml": "---\n"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			c := newCorner(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var stdout, stderr output
			ended := make(chan int, 1)
			go func() {
				ended <- run(ctx, []string{"status", "--watch", "--every", "100ms", "-o", form}, strings.NewReader(""), &stdout, &stderr, c.environ)
			}()
			eventually(t, "it is not shown again and again", func() bool { return strings.Count(stdout.String(), separator) >= 3 })
			cancel()
			require.Equal(t, exitOK, receive(t, ended, "it does not end"), stderr.String())
			require.NotContains(t, stdout.String(), "\x1b")
			if form == "json" {
				for line := range strings.Lines(stdout.String()) {
					require.True(t, json.Valid([]byte(line)), line)
				}
			}
		})
	}
}
