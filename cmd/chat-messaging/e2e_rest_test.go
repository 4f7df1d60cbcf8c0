package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// usersService is the auth service as the contract describes it: it knows every
// user, and gives each a name.
func usersService(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var question struct {
			IDs []int64 `json:"user_ids"`
		}
		if r.Method != http.MethodPost || r.URL.Path != "/users/get-users-info" || json.NewDecoder(r.Body).Decode(&question) != nil {
			http.Error(w, "no such call", http.StatusNotFound)
			return
		}
		users := make([]map[string]any, len(question.IDs))
		for i, id := range question.IDs {
			users[i] = map[string]any{"id": id, "username": "user", "avatar_url": nil, "extra": "kept"}
		}
		_ = json.NewEncoder(w).Encode(users)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// restClient calls the REST API as one user.
type restClient struct {
	t     *testing.T
	url   string
	token string
	http  *http.Client
}

func (c *corner) restClient(t *testing.T, url, user string) *restClient {
	t.Helper()
	done := c.execute(t.Context(), "", "token", "--user", user)
	require.Equal(t, exitOK, done.code, done.stderr)
	client := &restClient{t: t, url: url, token: strings.TrimSpace(done.stdout), http: &http.Client{Timeout: patience}}
	t.Cleanup(client.http.CloseIdleConnections)
	return client
}

// call returns the status and the decoded answer.
func (c *restClient) call(method, path, body string) (int, any) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, strings.NewReader(body))
	require.NoError(c.t, err)
	request.Header.Set("Authorization", "Bearer "+c.token)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	require.NoError(c.t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(c.t, err)
	var answer any
	if len(text) > 0 {
		require.NoError(c.t, json.Unmarshal(text, &answer), "%s", text)
	}
	return response.StatusCode, answer
}

// A chat is made over REST, written to over AMQP, and read back over REST, by
// the program whole and an auth service beside it.
func TestRESTAndThePipelineWorkOnTheSameChats(t *testing.T) {
	t.Parallel()
	c := newCorner(t)
	r := c.record("quorum")
	app := c.run("AUTH_BACKEND_URL=" + usersService(t))
	awaitReady(t, app.url)
	one, two, stranger := c.restClient(t, app.url+"/messaging", "1"), c.restClient(t, app.url, "2"), c.restClient(t, app.url, "3")

	code, made := one.call(http.MethodPost, "/chats/", `{"user_ids":[2,1]}`)
	require.Equal(t, http.StatusOK, code, "%v", made)
	chat, _ := made.(map[string]any)["id"].(string)
	_, again := two.call(http.MethodPost, "/chats", `{"user_ids":[1,2]}`)
	require.Equal(t, made, again, "one chat for one set of users")
	_, chats := one.call(http.MethodGet, "/chats/get-chats", "")
	require.Empty(t, chats, "a chat without messages is not listed")

	c.send(say(t, chat, "a", 1, 2, "Hello"), say(t, chat, "b", 2, 1, "Hi"), say(t, chat, "c", 3, 1, "Let me in"))
	require.Len(t, r.first(3), 3)

	_, chats = one.call(http.MethodGet, "/chats/get-chats", "")
	require.Equal(t, []any{made}, chats)
	code, page := two.call(http.MethodGet, "/messages/get-messages?chat_id="+chat+"&cursor=", "")
	require.Equal(t, http.StatusOK, code)
	messages, _ := page.(map[string]any)["messages"].([]any)
	require.Len(t, messages, 2)
	newest, _ := messages[0].(map[string]any)
	require.Equal(t, "b", newest["client_message_id"])
	require.EqualValues(t, 2, newest["seq"])

	code, _ = one.call(http.MethodPost, "/chats/update-chat-related-user", `{"id":1,"username":"Alice","avatar_url":null}`)
	require.Equal(t, http.StatusNoContent, code)
	_, chats = two.call(http.MethodGet, "/chats/get-chats", "")
	users, _ := chats.([]any)[0].(map[string]any)["related_users"].([]any)
	require.Equal(t, map[string]any{"id": 1.0, "username": "Alice", "avatar_url": nil, "extra": "kept"}, users[0])

	code, _ = stranger.call(http.MethodGet, "/messages/get-messages?chat_id="+chat+"&cursor=", "")
	require.Equal(t, http.StatusNotFound, code)
}
