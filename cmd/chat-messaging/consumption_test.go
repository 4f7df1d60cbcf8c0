package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

func TestPauseHoldsOverARestartUntilResume(t *testing.T) {
	t.Parallel()
	c := newCorner(t)
	queue := c.config().DatabaseQueueName
	chat := fmt.Sprint(queriestest.Chat(t, c.db, 1, 2))
	c.record("classic")
	app := c.run()
	awaitReady(t, app.url)

	paused := c.execute(t.Context(), "", "pause", "--reason", "moving the database", "--as", "ann", "--wait", "60s")
	require.Equal(t, exitOK, paused.code, paused.stderr)
	require.Regexp(t, "^"+queue+` is paused \(20..-..-.. ..:..:.. UTC by ann: moving the database\)\n$`, paused.stdout)
	again := c.execute(t.Context(), "", "pause", "--reason", "something else", "--as", "bob")
	require.Equal(t, exitOK, again.code)
	require.Contains(t, again.stdout, "is paused, as before (20")
	require.Contains(t, again.stdout, "by ann: moving the database")

	c.send(say(t, chat, "a", 1, 2, "Hello"))
	requirePaused := func(url string) {
		t.Helper()
		eventually(t, "the state is not paused", func() bool {
			return metric(t, url, "chat_messaging_consumer_state")[`state="paused"`] == 1
		})
		eventually(t, "it is not ready, or does not tell of the pause", func() bool {
			code, body := get(t, url+"/readyz")
			var answer struct {
				Checks map[string]struct{ Detail string }
			}
			require.NoError(t, json.Unmarshal([]byte(body), &answer))
			return code == http.StatusOK && answer.Checks["pipeline"].Detail != ""
		})
		waiting, consumers := c.inspect(queue)
		require.Equal(t, 1, waiting)
		require.Zero(t, consumers)
	}
	requirePaused(app.url)
	app.drain()
	require.Zero(t, c.count("instances"), "an instance that stops says so")
	app = c.run()
	requirePaused(app.url)
	shown := c.execute(t.Context(), "", "status")
	require.Contains(t, shown.stdout, "PAUSED by ann since 20")
	require.Zero(t, c.count("messages"))

	resumed := c.execute(t.Context(), "", "resume", "--as", "bob", "--wait", "60s", "-o", "json")
	require.Equal(t, exitOK, resumed.code, resumed.stderr)
	require.Contains(t, resumed.stdout, `"changed_by": "bob"`)
	eventually(t, "the message is not stored", func() bool { return c.count("messages") == 1 })
	require.Contains(t, c.execute(t.Context(), "", "resume").stdout, "is not paused, as before")

	records, _, err := c.db.ListAudit(t.Context(), queries.AuditFilter{Action: "consumption"})
	require.NoError(t, err)
	require.Len(t, records, 4)
	require.Equal(t, "cli", records[0].Via)
}

func TestPauseWaitsForEveryInstance(t *testing.T) {
	t.Parallel()
	c := newCorner(t, "COMPONENTS=http")
	awaitReady(t, c.run().url)
	done := c.execute(t.Context(), "", "pause", "--reason", "a test", "--wait", "60s")
	require.Equal(t, exitOK, done.code, "nobody consumes who could disobey")

	_, err := c.db.Exec(`INSERT INTO instances (id, report) VALUES (gen_random_uuid(), '{"host":"deaf","pid":7,"consumer":"consuming"}')`)
	require.NoError(t, err)
	late := c.execute(t.Context(), "", "pause", "--reason", "a test", "--wait", "100ms")
	require.Equal(t, exitFailed, late.code)
	require.Contains(t, late.stderr, "not obeyed yet by deaf/7")
}

func TestPauseSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no reason":       {[]string{"pause"}, "--reason"},
		"an empty reason": {[]string{"pause", "--reason", "  "}, "--reason"},
		"a novel":         {[]string{"pause", "--reason", fmt.Sprintf("%0501d", 0)}, "500"},
		"no time":         {[]string{"resume", "--wait", "-1s"}, "--wait"},
		"unknown output":  {[]string{"resume", "-o", "xml"}, "xml"},
		"a word too many": {[]string{"resume", "now"}, "now"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := execute(t, nil, c.args...)
			require.Equal(t, exitUsage, got.code)
			require.Contains(t, got.stderr, c.want)
			require.Empty(t, got.stdout)
		})
	}
	t.Run("a schema without tables", func(t *testing.T) {
		t.Parallel()
		got := execute(t, []string{emptySchema(t)}, "pause", "--reason", "x")
		require.Equal(t, exitFailed, got.code)
		require.Contains(t, got.stderr, "consumption")
	})
}
