package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"chat-messaging/queries/queriestest"
)

// canary is in everything that nobody may read; text is in every message.
const (
	canary = "hunter2-hunter2-hunter2-hunter2-hunter2"
	text   = "for the two of us only"
)

// Whatever fails, and with every record of the log switched on: no password, key,
// token or message gets to where it could be read by others.
func TestNoSecretLeavesTheProcess(t *testing.T) {
	t.Parallel()
	c := newCorner(t, "QUEUE_TYPE=classic")
	chat := fmt.Sprint(queriestest.Chat(t, c.db, 1, 2))
	secrets := []string{
		"KEY=" + canary, "CONSOLE_TOKENS=otto:operator:" + canary, "LOG_LEVEL=trace",
		"AUTH_BACKEND_URL=http://user:" + canary + "@127.0.0.1:1", "OPENTELEMETRY_COLLECTOR_URL=http://user:" + canary + "@127.0.0.1:1",
	}
	// One works; the other is let in by nobody.
	good := start(t, append(c.environ, secrets...), "serve")
	bad := start(t, append(c.environ, append(secrets,
		"RABBITMQ_URL=amqp://chat:"+canary+"@"+c.hostOf("RABBITMQ_URL")+"/",
		"DATABASE_URL=postgres://nobody_of_this_name:"+canary+"@"+c.hostOf("DATABASE_URL")+"/nowhere?sslmode=disable")...), "serve")

	signed := c.executeWith([]string{"KEY=" + canary}, "token", "--user", "9")
	require.Equal(t, exitOK, signed.code, signed.stderr)
	token := strings.TrimSpace(signed.stdout) // of somebody who is in no chat
	awaitReady(t, good.url())
	awaitNotReady(t, bad.url(), "broker", "")
	awaitNotReady(t, bad.url(), "database", "nobody_of_this_name")
	r := c.record("classic")
	c.send(
		say(t, chat, "a", 1, 2, text), say(t, chat, "b", 3, 2, text), strings.Replace(say(t, chat, "c", 1, 2, text), "{", "{,", 1),
	)
	r.await(2)
	eventually(t, "the poisoned one is not counted", func() bool {
		return metric(t, good.url(), "chat_messaging_outcomes_total")[`code="malformed_json",outcome="poisoned"`] == 1
	})

	var seen bytes.Buffer // what others can read
	for _, p := range []*process{good, bad} {
		for _, path := range []string{"/healthz", "/readyz", "/metrics", "/messages/get-messages?chat_id=x", "/chats/" + chat, "/nowhere"} {
			ask(t, &seen, p, http.MethodGet, path, token, "")
			ask(t, &seen, p, http.MethodGet, path+"?access_token="+token, "", "")
		}
		ask(t, &seen, p, http.MethodPost, "/chats/", token, `{"user_ids":[9,4]}`)
		ask(t, &seen, p, http.MethodPost, "/chats/", token, `{"user_ids":"`+text+`"}`)
		ask(t, &seen, p, http.MethodGet, "/chats/get-chats", token+"x", "")
		ask(t, &seen, p, http.MethodGet, "/console/", "wrong-"+canary, "")
		arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.cmd.Process.Pid))
		require.NoError(t, err)
		seen.Write(arguments)
	}
	good.stop()
	bad.stop()
	for _, p := range []*process{good, bad} {
		seen.WriteString(p.stdout.String())
		seen.WriteString(p.stderr.String())
	}
	require.Contains(t, seen.String(), "not_related", "the log was to be there")
	for what, secret := range map[string]string{"a secret": "hunter2", "a token": token[:40], "a message": text} {
		if i := strings.Index(seen.String(), secret); i >= 0 {
			require.Fail(t, "others can read "+what, "…%s…", seen.String()[max(0, i-300):min(seen.Len(), i+60)])
		}
	}
}

// ask puts the answer to a request into seen.
func ask(t *testing.T, seen io.Writer, p *process, method, path, token, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.url()+path, strings.NewReader(body))
	require.NoError(t, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := client.Do(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	require.NoError(t, response.Header.Write(seen))
	_, err = io.Copy(seen, response.Body)
	require.NoError(t, err)
}

// hostOf is the host and port of a URL in the corner's environment.
func (c *corner) hostOf(name string) string {
	c.t.Helper()
	for _, assignment := range c.environ {
		if value, found := strings.CutPrefix(assignment, name+"="); found {
			host := regexp.MustCompile(`^\w+://(?:[^@/]*@)?([^/?]+)`).FindStringSubmatch(value)
			require.Len(c.t, host, 2)
			return host[1]
		}
	}
	require.FailNow(c.t, "no "+name)
	return ""
}

// executeWith is execute with further settings.
func (c *corner) executeWith(settings []string, args ...string) result {
	with := *c
	with.environ = append(append([]string{}, c.environ...), settings...)
	return with.execute(c.t.Context(), "", args...)
}

// Everybody on the machine can read the arguments of a process.
func TestNoSecretIsAnArgument(t *testing.T) {
	t.Parallel()
	secret := regexp.MustCompile(`(?i)password|secret|\bkey\b|credential|dsn|url$`)
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if cmd.CommandPath() == program+" healthcheck" && f.Name == "url" {
				return // where the service listens on this machine
			}
			require.NotRegexp(t, secret, f.Name, cmd.CommandPath())
		})
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	root, _ := newRoot(nil)
	walk(root)
}
