package main

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/http"
	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

func TestMessagesAreFoundAndFollowed(t *testing.T) {
	t.Parallel()
	c := newCorner(t)
	chat := fmt.Sprint(queriestest.Chat(t, c.db, 1, 2))
	pipelineOnly := c.run("COMPONENTS=pipeline")
	c.send(say(t, chat, "a", 1, 2, "top secret"), say(t, chat, "b", 2, 1, "Hi"), say(t, chat, "c", 1, 2, "Bye"))
	eventually(t, "the messages are not stored", func() bool { return c.count("messages") == 3 })

	find := func(args ...string) (ids []string) {
		t.Helper()
		got := c.execute(t.Context(), "", append([]string{"messages", "find", "-o", "json"}, args...)...)
		require.Equal(t, exitOK, got.code, got.stderr)
		require.NotContains(t, got.stdout, "secret", "bodies are hidden")
		var found http.Found
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &found))
		for _, m := range found.Messages {
			ids = append(ids, m.ID)
		}
		return ids
	}
	require.Equal(t, []string{chat + "-1", chat + "-2", chat + "-3"}, find("--chat", chat))
	require.Equal(t, []string{chat + "-3"}, find("--chat", chat, "--limit", "1"))
	require.Equal(t, []string{chat + "-3", chat + "-1"}, find("--sender", "1"))
	require.Equal(t, []string{chat + "-2"}, find("--sender", "2", "--chat", chat))
	require.Equal(t, []string{chat + "-1"}, find("--sender", "1", "--client-id", "a"))
	require.Equal(t, []string{chat + "-2"}, find("--chat", chat, "--client-id", "b"))

	show := func(args ...string) (p http.MessagePath, text string) {
		t.Helper()
		got := c.execute(t.Context(), "", append([]string{"messages", "show", chat + "-1", "-o", "json"}, args...)...)
		require.Equal(t, exitOK, got.code, got.stderr)
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &p))
		return p, got.stdout
	}
	path, text := show()
	require.NotContains(t, text, "secret")
	require.Equal(t, 10, path.Message.BodyBytes)
	require.Equal(t, []int64{1, 2}, path.Members)
	require.EqualValues(t, 3, path.LastSeq)
	require.True(t, path.Decision.Permit)
	require.Equal(t, "members-send", path.Decision.Policy)
	require.Empty(t, path.Before)
	require.Len(t, path.After, 2)
	require.Equal(t, http.EventWaiting, path.Event.State, "no relay runs")
	require.NotNil(t, path.Event.WaitingSince)
	pipelineOnly.drain()

	r := c.record("classic")
	c.run("COMPONENTS=relay")
	events := r.first(3)
	eventually(t, "the rows are not deleted", func() bool { return c.count("outbox") == 0 })
	path, _ = show("--around", "0")
	require.Equal(t, http.EventDispatched, path.Event.State)
	require.Equal(t, events[0].EventID, path.Event.ID)
	require.Empty(t, path.After)

	records, _, err := c.db.ListAudit(t.Context(), queries.AuditFilter{Action: "messages"})
	require.NoError(t, err)
	require.Empty(t, records, "nobody has seen a body")
	for _, args := range [][]string{{"show", chat + "-1"}, {"find", "--chat", chat}} {
		got := c.execute(t.Context(), "", append(append([]string{"messages"}, args...), "--body", "--as", "ann")...)
		require.Equal(t, exitOK, got.code, got.stderr)
		require.Contains(t, got.stdout, "top secret")
	}
	records, _, err = c.db.ListAudit(t.Context(), queries.AuditFilter{Action: "messages.body", Who: "ann"})
	require.NoError(t, err)
	require.Len(t, records, 2)
	require.EqualValues(t, 3, records[0].Affected)
	require.JSONEq(t, `{"chat":`+chat+`,"seq":1,"limit":7}`, string(records[1].Selection))
}

func TestMessagesSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"nothing named":         {"find"},
		"the client's id alone": {"find", "--client-id", "x"},
		"no chat":               {"find", "--chat", "-1"},
		"no limit":              {"find", "--chat", "1", "--limit", "0"},
		"no id":                 {"show"},
		"half an id":            {"show", "12"},
		"an impossible id":      {"show", "12-0"},
		"too many around":       {"show", "12-1", "--around", "9999"},
		"no verb":               {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := execute(t, nil, append([]string{"messages"}, args...)...)
			require.Equal(t, exitUsage, got.code, got.stderr)
			require.Empty(t, got.stdout)
		})
	}
	c := newCorner(t)
	chat := fmt.Sprint(queriestest.Chat(t, c.db, 1, 2))
	for name, args := range map[string][]string{
		"a chat without messages": {"find", "--chat", chat},
		"a chat of nobody":        {"find", "--chat", "1"},
		"a position too far":      {"show", chat + "-1"},
		"an unknown client's id":  {"find", "--sender", "1", "--client-id", "x", "--body"},
		"a message of no chat":    {"show", "1-1", "--body"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := c.execute(t.Context(), "", append([]string{"messages"}, args...)...)
			require.Equal(t, exitNothing, got.code, got.stderr)
			require.Equal(t, "chat-messaging: nothing found\n", got.stderr)
		})
	}
}
