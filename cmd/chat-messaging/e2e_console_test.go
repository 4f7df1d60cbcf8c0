package main

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/queries/queriestest"
)

// A message that names no sender is seen, mended, replayed and delivered, all in
// the console.
func TestAnOperatorMendsAPoisonedMessage(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-of-an-operator"
	c := newCorner(t)
	chat := fmt.Sprint(queriestest.Chat(t, c.db, 1, 2))
	r, app := c.record("classic"), c.run("CONSOLE_TOKENS=anna:operator:"+secret)
	awaitReady(t, app.url)
	c.send(`{"client_message_id":"a","chat_id":"` + chat + `","recipient_id":2,"sent_at":"2026-01-02T15:04:05.000001Z","body":"Hello"}`)

	o := &operator{t: t, url: app.url, client: &http.Client{Timeout: patience}}
	o.client.Jar, _ = cookiejar.New(nil)
	t.Cleanup(o.client.CloseIdleConnections)
	o.post("/console/login", "secret", secret)
	list := o.await("/console/poisoned", `data-label="Message"`)
	require.NotContains(t, list, "Hello")
	entry := regexp.MustCompile(`/console/poisoned/[0-9]+`).FindString(list)
	require.Contains(t, o.get(entry), "would be poisoned again")

	draft := valueOf(t, o.post(entry+"/body"), `(?s)<textarea id="body"[^>]*>\n?(.*?)</textarea>`)
	mended := o.post(entry+"/edit", "body", strings.Replace(draft, `"recipient_id"`, `"sender_id":1,"recipient_id"`, 1))
	require.Contains(t, mended, "would pass validation")

	preview := o.post("/console/poisoned/preview", "kind", "replay", "id", entry[strings.LastIndex(entry, "/")+1:])
	require.Contains(t, preview, "Replay 1 message?")
	field := func(name string) string { return valueOf(t, preview, `name="`+name+`" value="([^"]*)"`) }
	job := o.post("/console/jobs", "kind", "replay", "rate", "0", "filter", field("filter"), "bound", field("bound"), "expected", field("expected"))
	require.Contains(t, job, "of 1")

	event := r.first(1)[0]
	require.Equal(t, "delivered", event.Status)
	require.Equal(t, "Hello", event.Body)
	require.Equal(t, int64(1), event.SenderID)
	o.await(entry, `>replayed</span>`)
	require.Contains(t, o.get("/console/messages/"+chat+"-1"), "Stored")
	audit := o.get("/console/audit")
	for _, action := range []string{"login", "poison.show", "poison.edit", "poison.replay"} {
		require.Contains(t, audit, "<code>"+action+"</code>")
	}
}

// valueOf returns what a page holds where people do not see it.
func valueOf(t *testing.T, page, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(page)
	require.NotNil(t, found, "%s is not in %s", pattern, page)
	return html.UnescapeString(found[1])
}

// operator is somebody at the console, without a window.
type operator struct {
	t      *testing.T
	url    string
	client *http.Client
	token  string
}

func (o *operator) get(path string) string {
	o.t.Helper()
	r, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, o.url+path, nil)
	require.NoError(o.t, err)
	return o.do(r)
}

// post sends a form of names and values, and follows to the page that answers it.
func (o *operator) post(path string, fields ...string) string {
	o.t.Helper()
	form := url.Values{"form_token": {o.token}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	r, err := http.NewRequestWithContext(o.t.Context(), http.MethodPost, o.url+path, strings.NewReader(form.Encode()))
	require.NoError(o.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", o.url)
	return o.do(r)
}

func (o *operator) do(r *http.Request) string {
	o.t.Helper()
	response, err := o.client.Do(r)
	require.NoError(o.t, err)
	defer func() { _ = response.Body.Close() }()
	page, err := io.ReadAll(response.Body)
	require.NoError(o.t, err)
	require.Equal(o.t, http.StatusOK, response.StatusCode, "%s", page)
	o.token = valueOf(o.t, string(page), `name="form_token" value="([^"]*)"`)
	return string(page)
}

// await asks for a page until it holds the text.
func (o *operator) await(path, text string) (page string) {
	o.t.Helper()
	eventually(o.t, path+" to hold "+text, func() bool {
		page = o.get(path)
		return strings.Contains(page, text)
	})
	return page
}
