package http_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMediaTypes(t *testing.T) {
	t.Parallel()
	b := start(t)
	send := func(body io.Reader, headers ...string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/chats/", body)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token(t, 1))
		for i := 0; i < len(headers); i += 2 {
			r.Header.Add(headers[i], headers[i+1])
		}
		return b.do(t, r).status
	}
	const contentType = "Content-Type"
	for name, c := range map[string]struct {
		headers []string
		want    int
	}{
		"plain":                   {[]string{contentType, "application/json"}, 200},
		"with charset":            {[]string{contentType, "application/json; charset=UTF-8"}, 200},
		"in capitals":             {[]string{contentType, "Application/JSON"}, 200},
		"missing":                 {nil, 415},
		"text/plain":              {[]string{contentType, "text/plain"}, 415},
		"a form":                  {[]string{contentType, "application/x-www-form-urlencoded"}, 415},
		"multipart":               {[]string{contentType, "multipart/form-data; boundary=x"}, 415},
		"another charset":         {[]string{contentType, "application/json; charset=utf-16"}, 415},
		"text/plain and JSON":     {[]string{contentType, "text/plain, application/json"}, 415},
		"twice":                   {[]string{contentType, "application/json", contentType, "text/plain"}, 415},
		"garbage":                 {[]string{contentType, ";;"}, 415},
		"not compressed":          {[]string{contentType, "application/json", "Content-Encoding", "identity"}, 200},
		"compressed":              {[]string{contentType, "application/json", "Content-Encoding", "gzip"}, 415},
		"a foreign origin's form": {[]string{contentType, "text/plain", "Origin", "http://evil.example"}, 415},
		"wants HTML":              {[]string{contentType, "application/json", "Accept", "text/html"}, 200},
		"wants a range":           {[]string{contentType, "application/json", "Range", "bytes=0-1", "If-Match", `"x"`, "Accept-Encoding", strings.Repeat("gzip,", 1000)}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, send(strings.NewReader(`{"user_ids":[1,2]}`), c.headers...))
		})
	}
	t.Run("a bomb stays packed", func(t *testing.T) {
		t.Parallel()
		var bomb bytes.Buffer
		z := gzip.NewWriter(&bomb)
		_, err := z.Write(make([]byte, 10<<20))
		require.NoError(t, err)
		require.NoError(t, z.Close())
		require.Equal(t, 415, send(&bomb, contentType, "application/json", "Content-Encoding", "gzip"))
	})
}

func TestMethodsAndPaths(t *testing.T) {
	t.Parallel()
	b := start(t)
	id := chatOf(t, b, 1, 2)
	for _, c := range []struct {
		method, path string
		want         int
		allow        string
	}{
		{"PUT", "/chats/", 405, "OPTIONS, POST"},
		{"GET", "/chats/", 405, "OPTIONS, POST"},
		{"TRACE", "/chats/", 405, "OPTIONS, POST"},
		{"FOO", "/messaging/chats", 405, "OPTIONS, POST"},
		{"POST", "/chats/get-chats", 405, "GET, HEAD, OPTIONS"},
		{"DELETE", "/chats/" + id, 405, "GET, HEAD, OPTIONS"},
		{"GET", "/chats/update-chat-related-user", 405, "OPTIONS, POST"},
		{"POST", "/messages/get-messages/", 405, "GET, HEAD, OPTIONS"},
		{"POST", "/healthz", 405, "GET, HEAD, OPTIONS"},
		{"OPTIONS", "/chats/", 204, "OPTIONS, POST"},
		{"OPTIONS", "/chats/get-chats", 204, "GET, HEAD, OPTIONS"},
		{"OPTIONS", "/nowhere", 404, ""},
		{"HEAD", "/chats/get-chats", 200, ""},
		{"HEAD", "/openapi.json", 200, ""},
		{"HEAD", "/healthz", 200, ""},
		{"HEAD", "/chats/", 405, "OPTIONS, POST"},
		{"GET", "/", 404, ""},
		{"GET", "/messaging", 404, ""},
		{"GET", "/messaging/", 404, ""},
		{"GET", "/messagingchats/get-chats", 404, ""},
		{"GET", "//chats/get-chats", 404, ""},
		{"GET", "/chats//get-chats", 404, ""},
		{"GET", "/chats/get-chats//", 404, ""},
		{"POST", "/messaging//chats/", 404, ""},
		{"POST", "/messaging/../chats/", 404, ""},
		{"POST", "/messaging/./chats/", 404, ""},
		{"POST", "/messaging/%2e%2e/chats/", 404, ""},
		{"POST", "/messaging/..%2f/chats/", 404, ""},
		{"POST", "/messaging%2fchats/", 404, ""},
		{"POST", "/%63hats/", 404, ""},
		{"POST", "/messaging/messaging/chats/", 404, ""},
		{"POST", "/chats;x=y/", 404, ""},
		{"POST", `/chats\`, 404, ""},
		{"POST", "/CHATS/", 404, ""},
		{"GET", "/chats/%00", 404, ""},
		{"GET", "/chats/0", 404, ""},
		{"GET", "/chats/01", 404, ""},
		{"GET", "/chats/-1", 404, ""},
		{"GET", "/chats/9223372036854775808", 404, ""},
		{"GET", "/chats/" + strings.Repeat("1", 10000), 404, ""},
		{"GET", "/chats/%27%20OR%201=1", 404, ""},
		{"GET", "/messages/" + id, 404, ""},
		{"GET", "/messages/" + id + "-0", 404, ""},
		{"GET", "/messages/" + id + "-1", 404, ""},
		{"GET", "/messages/" + id + "-1-1", 404, ""},
		{"GET", "/messages/" + id + "-%00", 404, ""},
		{"GET", "/messages/..%2f..%2fetc%2fpasswd", 404, ""},
		{"GET", "/messaging/metrics", 404, ""},
		{"GET", "/messaging/healthz", 200, ""},
		{"GET", "/messaging/openapi.json/", 200, ""},
	} {
		t.Run(c.method+" "+c.path[:min(len(c.path), 40)], func(t *testing.T) {
			t.Parallel()
			r := b.request(t, 1, c.method, "", "")
			u, err := url.Parse(b.url)
			require.NoError(t, err)
			u.Opaque = "//" + u.Host + c.path // as it stands, not cleaned by the client
			r.URL = u
			response, err := client.Do(r)
			require.NoError(t, err)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			_ = response.Body.Close()
			require.Equal(t, c.want, response.StatusCode, "%s", body)
			require.Equal(t, c.allow, response.Header.Get("Allow"))
			a := answer{response.StatusCode, response.Header, body}
			if c.want >= 400 && c.method != http.MethodHead {
				a.problem(t)
			}
			if c.method == http.MethodHead {
				require.Empty(t, body)
			}
		})
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	b := start(t)
	const own = "http://localhost:3000"
	ask := func(method, path, origin string, preflight bool) answer {
		r := b.request(t, 0, method, path, "")
		r.Header.Set("Origin", origin)
		if preflight {
			r.Header.Set("Access-Control-Request-Method", "POST")
			r.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
		}
		return b.do(t, r)
	}
	for _, path := range []string{"/chats/", "/messaging/chats", "/messages/get-messages"} {
		a := ask(http.MethodOptions, path, own, true)
		require.Equal(t, http.StatusNoContent, a.status)
		require.Equal(t, own, a.header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, "true", a.header.Get("Access-Control-Allow-Credentials"))
		require.Contains(t, a.header.Get("Access-Control-Allow-Methods"), "POST")
		require.Contains(t, a.header.Get("Access-Control-Allow-Headers"), "Authorization")
		require.Contains(t, a.header.Get("Vary"), "Origin")
	}
	for _, path := range []string{"/chats/get-chats", "/nowhere", "/chats/?x=%zz"} {
		a := ask(http.MethodGet, path, own, false)
		require.GreaterOrEqual(t, a.status, 400)
		require.Equal(t, own, a.header.Get("Access-Control-Allow-Origin"), "errors are readable too: %s", path)
		require.Contains(t, a.header.Get("Vary"), "Origin")
	}
	for _, origin := range []string{
		"http://localhost:3000.evil.com", "null", "http://localhost:3001", "https://localhost:3000",
		"HTTP://LOCALHOST:3000", "http://localhost", "http://localhost:3000/", "*", "",
	} {
		for _, preflight := range []bool{true, false} {
			a := ask(http.MethodOptions, "/chats/", origin, preflight)
			require.Equal(t, http.StatusNoContent, a.status)
			for name := range a.header {
				require.False(t, strings.HasPrefix(name, "Access-Control-"), "%s: %s", origin, name)
			}
		}
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	b := start(t)
	for given, kept := range map[string]bool{
		"abc-123": true, strings.Repeat("a", 64): true,
		strings.Repeat("a", 65): false, "a b": false, "<script>": false, "ä": false, "": false, "a_b": false,
	} {
		r := b.request(t, 0, http.MethodGet, "/chats/get-chats", "")
		r.Header.Set("X-Request-Id", given)
		a := b.do(t, r)
		require.Equal(t, kept, a.header.Get("X-Request-Id") == given, given)
		require.NotEmpty(t, a.problem(t).RequestID)
	}
	require.NotContains(t, b.logs.String(), "script")
}
