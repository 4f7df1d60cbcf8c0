package http_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"chat-messaging/handlers"
	rest "chat-messaging/http"
	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

const secret = "a secret of the tests, 32 bytes or more"

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// bundle is a server on a database of its own, the auth service that it asks,
// and a client that holds every answer against the OpenAPI document.
type bundle struct {
	server *rest.Server
	url    string
	db     *queries.DB
	auth   *authStub
	logs   *logBuffer
}

// start serves with the configuration as changed by the test.
func start(t testing.TB, change ...func(*rest.Config)) *bundle {
	t.Helper()
	return startOn(t, queriestest.New(t), change...)
}

func startOn(t testing.TB, db *queries.DB, change ...func(*rest.Config)) *bundle {
	t.Helper()
	policy, err := handlers.DefaultPolicy()
	require.NoError(t, err)
	db.SetMaxOpenConns(8)
	b := &bundle{db: db, auth: newAuthStub(t), logs: &logBuffer{}}
	config := rest.Config{
		Addr: "127.0.0.1:0", Logger: slog.New(slog.NewJSONHandler(b.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		API: true, DB: db, Policy: policy, Key: secret, AuthBackendURL: b.auth.URL,
	}
	for _, c := range change {
		c(&config)
	}
	b.server, err = rest.New(config)
	require.NoError(t, err)
	b.serve(t)
	return b
}

func (b *bundle) serve(t testing.TB) {
	t.Helper()
	require.NoError(t, b.server.Listen())
	b.url = b.server.URL()
	done := make(chan error, 1)
	go func() { done <- b.server.Serve() }()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server's log:\n%s", b.logs)
		}
		client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, b.server.Shutdown(ctx))
		require.NoError(t, <-done)
	})
}

var client = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// answer is a response, read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) decode(t testing.TB, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(a.body, v), "%s", a.body)
}

// problem is an error answer.
type problem struct {
	Type      string                           `json:"type"`
	Title     string                           `json:"title"`
	Status    int                              `json:"status"`
	Detail    string                           `json:"detail"`
	RequestID string                           `json:"request_id"`
	Errors    []struct{ Field, Detail string } `json:"errors"`
	UserIDs   []int64                          `json:"user_ids"`
}

func (a answer) problem(t testing.TB) problem {
	t.Helper()
	var p problem
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"), "%d %s", a.status, a.body)
	a.decode(t, &p)
	require.Equal(t, a.status, p.Status)
	require.Equal(t, a.header.Get("X-Request-Id"), p.RequestID)
	for _, leak := range []string{"goroutine ", "SELECT", "pq:", "panic", ".go:"} {
		require.NotContains(t, string(a.body), leak)
	}
	return p
}

// get asks as a user; 0 is nobody.
func (b *bundle) get(t testing.TB, user int64, path string) answer {
	t.Helper()
	return b.do(t, b.request(t, user, http.MethodGet, path, ""))
}

// post sends a JSON body as a user.
func (b *bundle) post(t testing.TB, user int64, path, body string) answer {
	t.Helper()
	return b.do(t, b.request(t, user, http.MethodPost, path, body))
}

func (b *bundle) request(t testing.TB, user int64, method, path, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if user != 0 {
		r.Header.Set("Authorization", "Bearer "+token(t, user))
	}
	return r
}

// do sends the request and validates the answer against the OpenAPI document.
func (b *bundle) do(t testing.TB, r *http.Request) answer {
	t.Helper()
	response, err := client.Do(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	a := answer{response.StatusCode, response.Header, body}
	conforms(t, r, a)
	return a
}

func token(t testing.TB, user int64) string {
	t.Helper()
	signed, err := rest.NewToken("HS256", secret, user, time.Hour)
	require.NoError(t, err)
	return signed
}

// document is the OpenAPI document as it lies in the repository.
func document(t testing.TB) (*openapi3.T, routers.Router) {
	t.Helper()
	loaded := loadDocument()
	require.NoError(t, loaded.err)
	return loaded.doc, loaded.router
}

type loadedDocument struct {
	doc    *openapi3.T
	router routers.Router
	err    error
}

var loadDocument = sync.OnceValue(func() (l loadedDocument) {
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.FileBodyDecoder)
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		return loadedDocument{err: err}
	}
	if l.doc, l.err = openapi3.NewLoader().LoadFromData(text); l.err != nil {
		return l
	}
	if l.err = l.doc.Validate(context.Background()); l.err == nil {
		l.router, l.err = gorillamux.NewRouter(l.doc)
	}
	return l
})

// conforms fails the test if the document does not say that the request may get
// this answer. What no route takes must be a problem.
func conforms(t testing.TB, r *http.Request, a answer) {
	t.Helper()
	doc, router := document(t)
	for _, name := range []string{"X-Request-Id", "X-Content-Type-Options", "Content-Security-Policy"} {
		require.NotEmpty(t, a.header.Get(name), name)
	}
	canonical := r.Clone(context.Background())
	path := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/messaging"), "/")
	if path == "/chats" {
		path += "/"
	}
	canonical.URL.Path, canonical.URL.RawPath = path, ""
	canonical.URL.Scheme, canonical.URL.Host, canonical.Host = "", "", ""
	if canonical.Method == http.MethodHead {
		canonical.Method = http.MethodGet
	}
	route, parameters, err := router.FindRoute(canonical)
	if err != nil || a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed {
		if r.Method == http.MethodOptions && a.status == http.StatusNoContent {
			return
		}
		if r.Method != http.MethodHead {
			a.problem(t)
			var value any
			a.decode(t, &value)
			require.NoError(t, doc.Components.Schemas["Problem"].Value.VisitJSON(value))
		}
		return
	}
	require.NoError(t, openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: canonical, PathParams: parameters, Route: route},
		Status:                 a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)),
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true,
			ExcludeResponseBody:   r.Method == http.MethodHead || a.status == http.StatusNotModified,
			AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
		},
	}), "%s %s: %d %s", r.Method, r.URL.Path, a.status, a.body)
}

// fill stores n messages in a chat of two, from either in turn.
func fill(t testing.TB, db *queries.DB, chatID int64, n int) {
	t.Helper()
	const atOnce = 50_000 // a statement has five seconds
	for first := 1; first <= n; first += atOnce {
		_, err := db.Exec(`
INSERT INTO messages (chat_id, seq, sender_id, recipient_id, delivered_at, fingerprint, client_message_id, sent_at, body)
SELECT c.id, n, c.member_ids[1 + n % 2], c.member_ids[2 - n % 2], '2026-01-02T15:04:05.123456Z'::timestamptz + n * interval '1 second',
       '\x00', c.id || '-' || n, '2026-01-02T15:04:05.000001Z', 'message ' || n
FROM chats AS c, generate_series($2::int, $3::int) AS n
WHERE c.id = $1`, chatID, first, min(first+atOnce-1, n))
		require.NoError(t, err)
	}
	_, err := db.Exec(`UPDATE chats SET last_seq = $2 WHERE id = $1`, chatID, n)
	require.NoError(t, err)
}
