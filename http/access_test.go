package http_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"chat-messaging/handlers"
	rest "chat-messaging/http"
	"chat-messaging/queries"
)

const (
	viewerSecret   = "a-viewer.of_the-tests"
	operatorSecret = "an-operator.of_the-tests"
)

// operated gives the server a viewer, an operator, and users by their claim.
func operated(c *rest.Config) {
	c.Operators = []rest.Operator{
		{Name: "vera", Role: rest.RoleViewer, Secret: viewerSecret},
		{Name: "otto", Role: rest.RoleOperator, Secret: operatorSecret},
	}
	c.RoleClaim = "role"
	c.InputQueue = "q"
	c.EventID = func(*queries.Message) (string, uuid.UUID, error) { return testEvent, testEventKey, nil }
	c.Queues = func(context.Context) (input, poison rest.Queue, err error) {
		return rest.Queue{Name: "q", Messages: 3, Consumers: 1}, rest.Queue{Name: "q.poison"}, nil
	}
	decoder := handlers.NewDecoder(handlers.Limits{})
	c.Inspect = func(body []byte, contentEncoding string) rest.Verdict {
		_, rejection, failure := decoder.Decode(body, contentEncoding)
		switch {
		case failure != nil:
			return rest.Verdict{Outcome: rest.OutcomePoisoned, Code: failure.Code, Detail: failure.Detail}
		case rejection != nil:
			return rest.Verdict{Outcome: rest.OutcomeRejected, Code: rejection.Code, Detail: rejection.Reason}
		}
		return rest.Verdict{Outcome: rest.OutcomeValid}
	}
}

// ask sends a request with the bearer token; "" sends none.
func (b *bundle) ask(t testing.TB, bearer, method, path, body string) answer {
	t.Helper()
	r := b.request(t, 0, method, path, body)
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	return b.do(t, r)
}

// userWith is a user's token with more claims.
func userWith(claims string) string {
	return forge(hs256, fmt.Sprintf(`{"user_id":7,"exp":%d%s}`, time.Now().Add(time.Hour).Unix(), claims))
}

// pathVariable matches a variable with a pattern that may have braces itself.
var pathVariable = regexp.MustCompile(`\{[^{}]*(\{[^}]*\})?[^{}]*\}`)

// exampleOf is a path that the route takes: 1 for a number, the first of several
// words.
func exampleOf(path string) string {
	return pathVariable.ReplaceAllStringFunc(path, func(variable string) string {
		_, pattern, _ := strings.Cut(strings.Trim(variable, "{}"), ":")
		if first, _, several := strings.Cut(pattern, "|"); several {
			return first
		}
		return "1"
	})
}

func TestEveryAdminCallAsksForItsRole(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	for _, line := range rest.AdminRoutes(b.server) {
		path := exampleOf(line.Path)
		t.Run(line.Method+" "+line.Path, func(t *testing.T) {
			t.Parallel()
			require.True(t, strings.HasPrefix(line.Path, "/admin/"))
			require.Contains(t, []rest.Role{rest.RoleViewer, rest.RoleOperator}, line.Role)
			require.Equal(t, http.StatusUnauthorized, b.ask(t, "", line.Method, path, "").status, "without a token")
			require.Equal(t, http.StatusForbidden, b.ask(t, userWith(""), line.Method, path, "").status, "as a user")
			require.Equal(t, http.StatusForbidden, b.ask(t, userWith(`,"role":"root"`), line.Method, path, "").status, "in another role")
			require.Equal(t, http.StatusNotFound, b.ask(t, operatorSecret, line.Method, "/messaging"+path, "").status, "by the proxy")
			if line.Role == rest.RoleOperator {
				require.Equal(t, http.StatusForbidden, b.ask(t, viewerSecret, line.Method, path, "").status, "as a viewer")
			}
		})
	}
}

func TestAdminCaller(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	for _, c := range []struct{ name, bearer, want string }{
		{"a viewer", viewerSecret, `{"name":"vera","role":"viewer","expires":null}`},
		{"an operator", operatorSecret, `{"name":"otto","role":"operator","expires":null}`},
		{"a user by a claim", userWith(`,"role":"viewer"`), `{"name":"user 7","role":"viewer","expires":"20`},
		{"a user by a claim of several roles", userWith(`,"role":["viewer","x","operator"]`), `{"name":"user 7","role":"operator",`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for range 2 { // the second time the token is a known one
				a := b.ask(t, c.bearer, http.MethodGet, "/admin/caller", "")
				require.Equal(t, http.StatusOK, a.status, "%s", a.body)
				require.True(t, strings.HasPrefix(string(a.body), c.want), "%s", a.body)
				require.Equal(t, "no-store", a.header.Get("Cache-Control"))
			}
		})
	}
	for name, claim := range map[string]string{
		"a number": `1`, "an object": `{"operator":true}`, "null": `null`, "in capitals": `"OPERATOR"`, "true": `true`,
		"a list with a number": `["operator",1]`, "a text with more": `"operator "`,
	} {
		t.Run("no role: "+name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, http.StatusForbidden, b.ask(t, userWith(`,"role":`+claim), http.MethodGet, "/admin/caller", "").status)
		})
	}
	t.Run("the role of a user's token opens no more of the API", func(t *testing.T) {
		t.Parallel()
		id := chatOf(t, b, 1, 2)
		require.Equal(t, http.StatusNotFound, b.ask(t, userWith(`,"role":"operator"`), http.MethodGet, "/chats/"+id, "").status)
		require.Equal(t, http.StatusUnauthorized, b.ask(t, operatorSecret, http.MethodGet, "/chats/"+id, "").status)
	})
}

func TestWithoutOperatorsThereIsNothingForThem(t *testing.T) {
	t.Parallel()
	b := start(t)
	for _, path := range []string{"/admin/caller", "/admin", "/admin/anything"} {
		for _, bearer := range []string{"", operatorSecret, userWith(`,"role":"operator"`)} {
			require.Equal(t, http.StatusNotFound, b.ask(t, bearer, http.MethodGet, path, "").status)
		}
	}
	claimOnly := start(t, operated, func(c *rest.Config) { c.Operators = nil })
	require.Equal(t, http.StatusUnauthorized, claimOnly.ask(t, operatorSecret, http.MethodGet, "/admin/caller", "").status)
	secretOnly := start(t, operated, func(c *rest.Config) { c.RoleClaim = "" })
	require.Equal(t, http.StatusUnauthorized, secretOnly.ask(t, userWith(`,"role":"operator"`), http.MethodGet, "/admin/caller", "").status)
}

func TestNoOtherOriginReadsWhatIsForOperators(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	for path, want := range map[string]string{"/admin/caller": "", "/console/": "", "/chats/get-chats": "http://localhost:3000"} {
		for _, method := range []string{http.MethodGet, http.MethodOptions} {
			r := b.request(t, 0, method, path, "")
			r.Header.Set("Origin", "http://localhost:3000")
			r.Header.Set("Access-Control-Request-Method", http.MethodGet)
			response, err := client.Do(r)
			require.NoError(t, err)
			_ = response.Body.Close()
			require.Equal(t, want, response.Header.Get("Access-Control-Allow-Origin"), path)
		}
	}
}

func TestGuessingSecretsIsSlow(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	now.Store(noon.Unix())
	b := start(t, operated, func(c *rest.Config) { c.Now = func() time.Time { return time.Unix(now.Load(), 0) } })
	get := func(bearer string) answer { return b.ask(t, bearer, http.MethodGet, "/admin/caller", "") }
	for i := range 10 {
		require.Equal(t, http.StatusOK, get(operatorSecret).status, "the right ones are not counted")
		require.Equal(t, http.StatusUnauthorized, get(fmt.Sprintf("a-wrong-secret-%d", i)).status)
	}
	for _, bearer := range []string{"a-wrong-secret-x", operatorSecret} {
		refused := get(bearer)
		require.Equal(t, http.StatusTooManyRequests, refused.status, "not even the right one tells itself apart")
		require.Equal(t, "urn:chat-messaging:problem:too-many-attempts", refused.problem(t).Type)
		require.Equal(t, "11", refused.header.Get("Retry-After"))
	}
	now.Add(11)
	require.Equal(t, http.StatusOK, get(operatorSecret).status)
	require.Equal(t, http.StatusUnauthorized, get("a-wrong-secret-y").status)
	require.Equal(t, http.StatusTooManyRequests, get("a-wrong-secret-z").status)
	require.NotContains(t, b.logs.String(), "a-wrong-secret", "a secret that is nearly right is a secret")
}

func TestOperatorsThatAServerRefuses(t *testing.T) {
	t.Parallel()
	otto := rest.Operator{Name: "otto", Role: rest.RoleOperator, Secret: operatorSecret}
	for name, operators := range map[string][]rest.Operator{
		"no name":               {{Role: rest.RoleViewer, Secret: viewerSecret}},
		"no role":               {{Name: "vera", Secret: viewerSecret}},
		"a short secret":        {{Name: "vera", Role: rest.RoleViewer, Secret: "fifteen-letters"}},
		"a secret with a blank": {{Name: "vera", Role: rest.RoleViewer, Secret: "a secret with blanks"}},
		"one name twice":        {otto, {Name: "otto", Role: rest.RoleViewer, Secret: viewerSecret}},
		"one secret twice":      {otto, {Name: "vera", Role: rest.RoleViewer, Secret: operatorSecret}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := rest.New(rest.Config{API: true, Key: secret, Operators: operators})
			require.ErrorContains(t, err, "operator ")
			require.NotContains(t, err.Error(), operatorSecret)
		})
	}
}
