package http_test

import (
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	rest "chat-messaging/http"
)

// visitor is a browser without a window: cookies, and the token of its forms.
type visitor struct {
	url    string
	client *http.Client
	// token is that of the last page seen.
	token string
}

// visit opens the console as who has the secret; "" is nobody.
func (b *bundle) visit(t testing.TB, secret string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	v := &visitor{url: b.url, client: &http.Client{Timeout: client.Timeout, Jar: jar, CheckRedirect: client.CheckRedirect}}
	t.Cleanup(v.client.CloseIdleConnections)
	if secret != "" {
		a := v.post(t, "/console/login", url.Values{"secret": {secret}})
		require.Equal(t, http.StatusSeeOther, a.status, "%s", a.body)
		v.get(t, "/console/settings")
	}
	return v
}

var formToken = regexp.MustCompile(`name="form_token" value="([^"]*)"`)

func (v *visitor) get(t testing.TB, path string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.url+path, nil)
	require.NoError(t, err)
	return v.do(t, r)
}

// post sends a form as a page of the console does.
func (v *visitor) post(t testing.TB, path string, fields url.Values) answer {
	t.Helper()
	return v.do(t, v.form(t, path, fields))
}

func (v *visitor) form(t testing.TB, path string, fields url.Values) *http.Request {
	t.Helper()
	if v.token != "" && !fields.Has("form_token") {
		fields = mergedValues(fields, url.Values{"form_token": {v.token}})
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.url+path, strings.NewReader(fields.Encode()))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", v.url)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

func mergedValues(sets ...url.Values) url.Values {
	merged := url.Values{}
	for _, set := range sets {
		maps.Copy(merged, set)
	}
	return merged
}

func (v *visitor) do(t testing.TB, r *http.Request) answer {
	t.Helper()
	response, err := v.client.Do(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	if found := formToken.FindSubmatch(body); found != nil {
		v.token = html.UnescapeString(string(found[1]))
	}
	return answer{response.StatusCode, response.Header, body}
}

func TestEveryPageOfTheConsoleAsksForItsRole(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	for _, line := range rest.ConsoleRoutes(b.server) {
		path := exampleOf(line.Path)
		t.Run(line.Method+" "+line.Path, func(t *testing.T) {
			t.Parallel()
			require.True(t, line.Path == "/console" || strings.HasPrefix(line.Path, "/console/"))
			require.Contains(t, []rest.Role{rest.RoleViewer, rest.RoleOperator}, line.Role)
			nobody, viewer, operator := b.visit(t, ""), b.visit(t, viewerSecret), b.visit(t, operatorSecret)
			if line.Method == http.MethodGet {
				a := nobody.get(t, path)
				require.Equal(t, http.StatusSeeOther, a.status, "without a log-in")
				require.Equal(t, "/console/login?next="+url.QueryEscape(path), a.header.Get("Location"))
			} else {
				require.Equal(t, http.StatusUnauthorized, nobody.post(t, path, nil).status, "without a log-in")
				require.Equal(t, http.StatusForbidden, operator.post(t, path, url.Values{"form_token": {"x"}}).status, "with a form of another log-in")
				require.Equal(t, http.StatusForbidden, operator.post(t, path, url.Values{"form_token": {viewer.token}}).status, "with a form of another operator")
				foreign := operator.form(t, path, nil)
				foreign.Header.Set("Origin", "https://evil.example")
				foreign.Header.Set("Sec-Fetch-Site", "cross-site")
				require.Equal(t, http.StatusForbidden, operator.do(t, foreign).status, "from another site")
				neighbour := operator.form(t, path, nil)
				neighbour.Header.Set("Origin", "http://127.0.0.1:3000")
				neighbour.Header.Set("Sec-Fetch-Site", "same-site")
				require.Equal(t, http.StatusForbidden, operator.do(t, neighbour).status, "from another port of this host")
				old := operator.form(t, path, nil)
				old.Header.Del("Sec-Fetch-Site")
				old.Header.Set("Origin", "null")
				require.Equal(t, http.StatusForbidden, operator.do(t, old).status, "from nowhere, in an old browser")
				plain := operator.form(t, path, nil)
				plain.Header.Set("Content-Type", "text/plain")
				require.Equal(t, http.StatusForbidden, operator.do(t, plain).status, "as another kind of form")
			}
			if line.Role == rest.RoleOperator {
				a := viewer.post(t, path, nil)
				if line.Method == http.MethodGet {
					a = viewer.get(t, path)
				}
				require.Equal(t, http.StatusForbidden, a.status, "as a viewer")
			}
			r, err := http.NewRequestWithContext(t.Context(), line.Method, b.url+"/messaging"+path, nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusNotFound, operator.do(t, r).status, "by the proxy")
			bearer, err := http.NewRequestWithContext(t.Context(), line.Method, b.url+path, nil)
			require.NoError(t, err)
			bearer.Header.Set("Authorization", "Bearer "+operatorSecret)
			require.Contains(t, []int{http.StatusSeeOther, http.StatusUnauthorized}, nobody.do(t, bearer).status, "with a bearer's secret")
		})
	}
	t.Run("without operators there is no console", func(t *testing.T) {
		t.Parallel()
		none := start(t)
		for _, path := range []string{"/console", "/console/", "/console/login", "/console/files/console.css"} {
			require.Equal(t, http.StatusNotFound, none.get(t, 0, path).status)
		}
	})
}

func TestConsoleHeaders(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	v := b.visit(t, viewerSecret)
	for path, status := range map[string]int{"/console/": 200, "/console/settings": 200, "/console/login": 303, "/console/files/nothing": 404} {
		a := v.get(t, path)
		require.Equal(t, status, a.status, path)
		policy := a.header.Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'")
		require.NotContains(t, policy, "unsafe")
		require.Contains(t, policy, "frame-ancestors 'none'")
		require.Equal(t, "no-store", a.header.Get("Cache-Control"))
		require.Equal(t, "same-origin", a.header.Get("Referrer-Policy"))
		require.NotContains(t, string(a.body), " style=", "the policy would not let it work")
		require.NotContains(t, string(a.body), "<style")
	}
	for _, name := range []string{"console.css", "console.js", "htmx.js", "hx-sse.js", "htmx.LICENSE.txt", "icon.svg"} {
		a := b.visit(t, "").get(t, "/console/files/"+name)
		require.Equal(t, http.StatusOK, a.status, name)
		require.NotEmpty(t, a.body)
	}
}

func TestConsoleLogin(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	t.Run("shows the page that was asked for", func(t *testing.T) {
		t.Parallel()
		v := b.visit(t, "")
		a := v.post(t, "/console/login", url.Values{"secret": {" " + operatorSecret + "\n"}, "next": {"/console/settings?x=1"}})
		require.Equal(t, http.StatusSeeOther, a.status)
		require.Equal(t, "/console/settings?x=1", a.header.Get("Location"))
		cookies := (&http.Response{Header: a.header}).Cookies()
		require.Len(t, cookies, 1)
		c := cookies[0]
		require.True(t, c.HttpOnly)
		require.Equal(t, http.SameSiteStrictMode, c.SameSite)
		require.Equal(t, "/console", c.Path)
		require.InDelta(t, 8*60*60, c.MaxAge, 60)
		require.False(t, c.Secure, "or a browser would not send it back without TLS")
		for _, part := range []string{"otto", "operator", operatorSecret} {
			require.NotContains(t, c.Value, part)
		}
		require.Contains(t, string(v.get(t, "/console/settings").body), "<strong>otto</strong>")
	})
	t.Run("behind TLS the cookie is for TLS only", func(t *testing.T) {
		t.Parallel()
		v := b.visit(t, "")
		r := v.form(t, "/console/login", url.Values{"secret": {operatorSecret}})
		r.Header.Set("X-Forwarded-Proto", "https")
		a := v.do(t, r)
		c := (&http.Response{Header: a.header}).Cookies()[0]
		require.True(t, c.Secure)
		require.True(t, strings.HasPrefix(c.Name, "__Host-"))
	})
	t.Run("a role in a token's claim", func(t *testing.T) {
		t.Parallel()
		require.Contains(t, string(b.visit(t, userWith(`,"role":"viewer"`)).get(t, "/console/settings").body), "<strong>user 7</strong>")
		a := b.visit(t, "").post(t, "/console/login", url.Values{"secret": {userWith("")}})
		require.Equal(t, http.StatusForbidden, a.status)
		require.Empty(t, a.header.Get("Set-Cookie"))
	})
	for name, next := range map[string]string{
		"another host": "https://evil.example/console/", "another host without a scheme": "//evil.example/console/",
		"backslashes": `/\evil.example/console/`, "elsewhere here": "/docs", "out of the console": "/console/../chats",
		"a script": "javascript:alert(1)", "nothing": "", "a line break": "/console/\r\nSet-Cookie: x=y",
	} {
		t.Run("never leads to "+name, func(t *testing.T) {
			t.Parallel()
			a := b.visit(t, "").post(t, "/console/login", url.Values{"secret": {operatorSecret}, "next": {next}})
			require.Equal(t, "/console/", a.header.Get("Location"))
		})
	}
	t.Run("from another site", func(t *testing.T) {
		t.Parallel()
		v := b.visit(t, "")
		r := v.form(t, "/console/login", url.Values{"secret": {operatorSecret}})
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		a := v.do(t, r)
		require.Equal(t, http.StatusForbidden, a.status)
		require.Empty(t, a.header.Get("Set-Cookie"))
	})
	t.Run("log-out forgets", func(t *testing.T) {
		t.Parallel()
		v := b.visit(t, operatorSecret)
		a := v.post(t, "/console/logout", nil)
		require.Equal(t, "/console/login", a.header.Get("Location"))
		require.Equal(t, http.StatusSeeOther, v.get(t, "/console/").status)
	})
	t.Run("a part of a page sends the whole page to the log-in", func(t *testing.T) {
		t.Parallel()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/console/live", nil)
		require.NoError(t, err)
		r.Header.Set("HX-Request", "true")
		a := b.visit(t, "").do(t, r)
		require.Equal(t, http.StatusUnauthorized, a.status)
		require.Equal(t, "/console/login", a.header.Get("HX-Redirect"))
	})
	t.Run("a form that is too large", func(t *testing.T) {
		t.Parallel()
		a := b.visit(t, "").post(t, "/console/login", url.Values{"secret": {strings.Repeat("x", 1<<20)}})
		require.Equal(t, http.StatusRequestEntityTooLarge, a.status)
	})
}

func TestGuessingAtTheLoginIsSlow(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	v := b.visit(t, "")
	for range 10 {
		a := v.post(t, "/console/login", url.Values{"secret": {"a-wrong-secret-xx"}})
		require.Equal(t, http.StatusUnauthorized, a.status)
		require.NotContains(t, string(a.body), "a-wrong-secret-xx")
	}
	a := v.post(t, "/console/login", url.Values{"secret": {operatorSecret}})
	require.Equal(t, http.StatusTooManyRequests, a.status)
	require.NotEmpty(t, a.header.Get("Retry-After"))
	require.NotContains(t, b.logs.String(), "a-wrong-secret-xx")
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	now.Store(noon.Unix())
	clock := func(c *rest.Config) { c.Now = func() time.Time { return time.Unix(now.Load(), 0) } }
	b := start(t, operated, clock)
	seen := func(b *bundle, cookie *http.Cookie) bool {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/console/settings", nil)
		require.NoError(t, err)
		r.AddCookie(cookie)
		response, err := client.Do(r)
		require.NoError(t, err)
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	}
	cookieOf := func(secret string) *http.Cookie {
		a := b.visit(t, "").post(t, "/console/login", url.Values{"secret": {secret}})
		return (&http.Response{Header: a.header}).Cookies()[0]
	}
	long := cookieOf(operatorSecret)
	short := cookieOf(forge(hs256, claimsOf(`,"user_id":7,"role":"viewer"`))) // until 12:30
	require.True(t, seen(b, long))
	require.True(t, seen(b, short))

	other := startOn(t, b.db, operated, clock)
	require.True(t, seen(other, long), "every instance knows it")
	changed := startOn(t, b.db, operated, clock, func(c *rest.Config) { c.Operators[0].Secret += "x" })
	require.False(t, seen(changed, long), "a changed secret ends all sessions")
	forged := *long
	forged.Value = flip(long.Value)
	require.False(t, seen(b, &forged))

	now.Add(31 * 60)
	require.True(t, seen(b, long))
	require.False(t, seen(b, short), "a session lasts no longer than the token that opened it")
	now.Add(8 * 60 * 60)
	require.False(t, seen(b, long))
}

func TestSettingsAreShown(t *testing.T) {
	t.Parallel()
	b := start(t, operated, func(c *rest.Config) {
		c.Settings = []rest.Setting{{Name: "PREFETCH", Value: "2000"}, {Name: "KEY", Value: "xxxxx"}, {Name: "POLICY_FILE"}}
		c.Versions = []rest.Setting{{Name: "commit", Value: "<b>0123"}}
	})
	page := string(b.visit(t, viewerSecret).get(t, "/console/settings").body)
	for _, part := range []string{"PREFETCH", "2000", "xxxxx", "not set", "&lt;b&gt;0123"} {
		require.Contains(t, page, part)
	}
	require.NotContains(t, page, secret)
}
