package http_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	rest "chat-messaging/http"
)

func TestAuthServiceFaults(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `[%s,%s]`, userObject(1), userObject(2))
	}))
	t.Cleanup(elsewhere.Close)
	for name, c := range map[string]struct {
		fault http.HandlerFunc
		want  int
		asked int
	}{
		"500":             {says(500, `{}`), 503, 3},
		"503 with a page": {says(503, `<html>`), 503, 3},
		"429":             {says(429, `[]`), 503, 3},
		"no answer": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then is the client's going noticed
			<-r.Context().Done()
		}, 503, 3},
		"a broken connection":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 503, 3},
		"401":                   {says(401, `{}`), 502, 1},
		"204":                   {says(204, ``), 502, 1},
		"not JSON":              {says(200, `<html>`), 502, 1},
		"cut off":               {says(200, `[{"id":1`), 502, 1},
		"an object":             {says(200, `{"1":{}}`), 502, 1},
		"null":                  {says(200, `null`), 502, 1},
		"a list of ids":         {says(200, `[1,2]`), 502, 1},
		"a user without id":     {says(200, `[{"username":"x"}]`), 502, 1},
		"an id as a string":     {says(200, `[{"id":"1"},{"id":"2"}]`), 502, 1},
		"an id with a fraction": {says(200, `[{"id":1.0},{"id":2}]`), 502, 1},
		"two ids in a user":     {says(200, `[{"id":1,"id":2},{"id":2}]`), 502, 1},
		"somebody else":         {says(200, `[{"id":1},{"id":2},{"id":3}]`), 502, 1},
		"a user twice":          {says(200, `[{"id":1},{"id":1},{"id":2}]`), 502, 1},
		"NUL, which is no text": {says(200, `[{"id":1,"x":"\u0000"},{"id":2}]`), 502, 1},
		"too much":              {says(200, `[{"id":1,"x":"`+strings.Repeat("x", 1<<20)+`"},{"id":2}]`), 502, 1},
		"nested deeply":         {says(200, strings.Repeat("[", 5000)), 502, 1},
		"nobody":                {says(200, `[]`), 422, 1},
		"one of two":            {says(200, `[{"id":1}]`), 422, 1},
		"a redirect to another host": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, 502, 1},
		"a redirect that drops the question": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}, 502, 1},
		"redirects without end": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/users/get-users-info", http.StatusTemporaryRedirect)
		}, 502, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, func(c *rest.Config) { c.AuthTimeout = 200 * time.Millisecond })
			b.auth.answerWith(c.fault)
			a := b.post(t, 1, "/chats/", `{"user_ids":[1,2]}`)
			require.Equal(t, c.want, a.status, "%s", a.body)
			require.Equal(t, c.want == 503, a.header.Get("Retry-After") != "")
			require.Equal(t, c.asked, b.auth.timesAsked())
			var n int
			require.NoError(t, b.db.Get(&n, `SELECT (SELECT count(*) FROM chats) + (SELECT count(*) FROM users)`))
			require.Zero(t, n, "nothing may be stored")
		})
	}
}

func TestAuthServiceAway(t *testing.T) {
	t.Parallel()
	b := start(t, func(c *rest.Config) { c.AuthRetries, c.AuthOpenFor = -1, time.Second })
	existing := b.post(t, 1, "/chats/", `{"user_ids":[1,2]}`)
	bare := chatOf(t, b, 1, 4)
	b.auth.answerWith(says(500, ""))

	again := b.post(t, 1, "/chats/", `{"user_ids":[1,2]}`)
	require.Equal(t, string(existing.body), string(again.body), "what exists is returned")
	without := b.post(t, 1, "/chats/", `{"user_ids":[1,4]}`)
	require.Equal(t, http.StatusOK, without.status)
	require.Contains(t, string(without.body), bare)
	require.Contains(t, string(without.body), `{"id":4,"username":null,"avatar_url":null}`)

	for range 10 {
		require.Equal(t, http.StatusServiceUnavailable, b.post(t, 1, "/chats/", `{"user_ids":[1,3]}`).status)
	}
	require.LessOrEqual(t, b.auth.timesAsked(), 1+5, "after five failures it is left alone")
	skipped, _ := b.metric(t, `chat_messaging_auth_service_requests_total{outcome="skipped"}`)
	require.Positive(t, skipped)

	b.auth.answerWith(nil)
	require.Eventually(t, func() bool {
		return b.post(t, 1, "/chats/", `{"user_ids":[1,3]}`).status == http.StatusOK
	}, 10*time.Second, 50*time.Millisecond, "it is asked again when it has had its rest")
}

func TestAuthServiceRetry(t *testing.T) {
	t.Parallel()
	b := start(t)
	failures := 2
	b.auth.answerWith(func(w http.ResponseWriter, r *http.Request) {
		if failures--; failures == 0 {
			b.auth.answerWith(nil)
		}
		says(502, "")(w, r)
	})
	require.Equal(t, http.StatusOK, b.post(t, 1, "/chats/", `{"user_ids":[1,2]}`).status)
	require.Equal(t, 3, b.auth.timesAsked())
	for _, h := range b.auth.headers {
		require.Empty(t, h.Get("Authorization"), "a user's token stays here")
		require.Empty(t, h.Get("Cookie"))
		require.Equal(t, "application/json", h.Get("Content-Type"))
	}
}

func TestAuthServiceRedirectToTheOtherSpelling(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.auth.answerWith(func(w http.ResponseWriter, r *http.Request) {
		b.auth.answerWith(func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = strings.TrimSuffix(r.URL.Path, "/")
			b.auth.answerWith(nil)
			b.auth.ServeHTTP(w, r)
		})
		http.Redirect(w, r, r.URL.Path+"/", http.StatusTemporaryRedirect)
	})
	require.Equal(t, http.StatusOK, b.post(t, 1, "/chats/", `{"user_ids":[1,2]}`).status)
}
