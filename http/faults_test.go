package http_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	rest "chat-messaging/http"
)

// everyCall is one request to each route that needs the database.
func everyCall(chat string) map[string]string {
	return map[string]string{
		"GET /messages/get-messages?chat_id=" + chat: "",
		"GET /messages/" + chat + "-1":               "",
		"GET /chats/" + chat:                         "",
		"GET /chats/get-chats":                       "",
		"POST /chats/":                               `{"user_ids":[1,2]}`,
		"POST /chats/update-chat-related-user":       `{"id":1,"username":"x"}`,
	}
}

func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*wire){
		"nobody listens":            func(w *wire) { _ = w.listener.Close(); w.cut() },
		"everything is swallowed":   func(w *wire) { w.held.Store(true) },
		"new connections hang, too": func(w *wire) { w.held.Store(true); w.cut() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, wire := throughWire(t)
			b := startOn(t, db, func(c *rest.Config) {
				c.DatabaseTimeout = 500 * time.Millisecond
				c.CheckInterval, c.CheckTimeout = 50*time.Millisecond, 200*time.Millisecond
				c.Ready = []rest.Check{{Name: "database", Run: db.Probe}}
			})
			chat := b.create(t, 1, 2)
			require.Eventually(t, func() bool { return b.get(t, 0, "/readyz").status == http.StatusOK }, 5*time.Second, 20*time.Millisecond)
			fault(wire)
			for call, body := range everyCall(chat) {
				method, path, _ := strings.Cut(call, " ")
				started := time.Now()
				a := b.do(t, b.request(t, 1, method, path, body))
				require.Equal(t, http.StatusServiceUnavailable, a.status, "%s: %s", call, a.body)
				require.Equal(t, "urn:chat-messaging:problem:unavailable", a.problem(t).Type)
				require.NotEmpty(t, a.header.Get("Retry-After"))
				require.Less(t, time.Since(started), 2*time.Second, call)
			}
			require.Eventually(t, func() bool { return b.get(t, 0, "/readyz").status == http.StatusServiceUnavailable }, 5*time.Second, 20*time.Millisecond)
			require.Equal(t, http.StatusOK, b.get(t, 0, "/healthz").status)
			wire.held.Store(false)
			wire.cut() // lets go of what was left behind
			if name != "nobody listens" {
				require.Eventually(t, func() bool { return b.get(t, 1, "/chats/"+chat).status == http.StatusOK }, 10*time.Second, 50*time.Millisecond)
			}
		})
	}
}

// policyFunc is a policy for tests in which the decision is not the subject.
type policyFunc func(action string) bool

func (p policyFunc) Decide(action string, _ int64, _ []int64, _ int64) (bool, string) {
	return p(action), "test"
}

func TestPanic(t *testing.T) {
	t.Parallel()
	b := start(t, func(c *rest.Config) { c.Policy = policyFunc(func(string) bool { panic("SELECT something.go:1") }) })
	for range 2 {
		r := b.request(t, 1, http.MethodPost, "/chats/", `{"user_ids":[1,2]}`)
		r.Header.Set("Origin", "http://localhost:3000")
		a := b.do(t, r)
		require.Equal(t, http.StatusInternalServerError, a.status)
		require.Equal(t, "urn:chat-messaging:problem:internal", a.problem(t).Type)
		require.NotEmpty(t, a.header.Get("Access-Control-Allow-Origin"))
	}
	panics, _ := b.metric(t, "chat_messaging_http_panics_total")
	require.InEpsilon(t, 2, panics, 0)
	require.Contains(t, b.logs.String(), `"handler panicked"`)
}

func TestFlood(t *testing.T) {
	t.Parallel()
	hold, entered := make(chan struct{}), make(chan struct{}, 10)
	b := start(t, func(c *rest.Config) {
		c.MaxConcurrent = 2
		c.Policy = policyFunc(func(string) bool {
			entered <- struct{}{}
			<-hold
			return true
		})
	})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { b.create(t, 1, 2) })
		<-entered
	}
	for range 5 {
		a := b.get(t, 1, "/chats/get-chats")
		require.Equal(t, http.StatusServiceUnavailable, a.status)
		require.Equal(t, "1", a.header.Get("Retry-After"))
		require.Equal(t, "urn:chat-messaging:problem:overloaded", a.problem(t).Type)
		require.Equal(t, http.StatusOK, b.get(t, 0, "/healthz").status)
		require.Equal(t, http.StatusOK, b.get(t, 0, "/messaging/readyz/").status)
	}
	close(hold)
	wg.Wait()
	require.Equal(t, http.StatusOK, b.get(t, 1, "/chats/get-chats").status)
}

func TestClientGone(t *testing.T) {
	t.Parallel()
	b := start(t)
	chat := b.create(t, 1, 2)
	tx, err := b.db.Begin()
	require.NoError(t, err)
	_, err = tx.Exec(`LOCK TABLE chats IN ACCESS EXCLUSIVE MODE`)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	r := b.request(t, 1, http.MethodGet, "/chats/"+chat, "").WithContext(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if response, err := client.Do(r); err == nil {
			_ = response.Body.Close()
		}
	}()
	require.Eventually(t, func() bool {
		var waiting int
		return b.db.Get(&waiting, `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'chats'::regclass`) == nil && waiting == 1
	}, 5*time.Second, 10*time.Millisecond)
	cancel()
	<-done
	require.Eventually(t, func() bool {
		gone, _ := b.metric(t, `chat_messaging_http_requests_total{method="GET",route="get_chat",status="499"}`)
		return gone == 1
	}, 5*time.Second, 20*time.Millisecond, "the query ends with the client")
	require.NoError(t, tx.Rollback())
}

func TestHealth(t *testing.T) {
	t.Parallel()
	fault := make(chan error, 1)
	fault <- nil
	current := func() error { err := <-fault; fault <- err; return err }
	b := start(t, func(c *rest.Config) {
		c.API = false
		c.DB, c.Policy, c.Key = nil, nil, ""
		c.CheckInterval, c.CheckTimeout = 20*time.Millisecond, 50*time.Millisecond
		c.Ready = []rest.Check{
			{Name: "broker", Run: func(context.Context) error { return current() }},
			{Name: "database", Run: func(context.Context) error { return nil }},
		}
	})
	type readiness struct {
		Status string
		Checks map[string]struct {
			Status, Since string
			Reason        *string
		}
	}
	ready := func() (int, readiness) {
		var r readiness
		a := b.get(t, 0, "/messaging/readyz")
		a.decode(t, &r)
		return a.status, r
	}
	require.JSONEq(t, `{"status":"ok"}`, string(b.get(t, 0, "/healthz").body))
	require.Eventually(t, func() bool { status, _ := ready(); return status == http.StatusOK }, 5*time.Second, 10*time.Millisecond)
	_, before := ready()

	<-fault
	fault <- errors.New("connection refused")
	require.Eventually(t, func() bool { status, _ := ready(); return status == http.StatusServiceUnavailable }, 5*time.Second, 10*time.Millisecond)
	_, down := ready()
	require.Equal(t, "unavailable", down.Status)
	require.Equal(t, "down", down.Checks["broker"].Status)
	require.Equal(t, "connection refused", *down.Checks["broker"].Reason)
	require.Equal(t, "up", down.Checks["database"].Status)
	require.Nil(t, down.Checks["database"].Reason)
	require.Equal(t, before.Checks["database"].Since, down.Checks["database"].Since)
	require.Greater(t, down.Checks["broker"].Since, before.Checks["broker"].Since)
	value, _ := b.metric(t, `chat_messaging_ready{check="broker"}`)
	require.Zero(t, value)

	<-fault
	fault <- nil
	require.Eventually(t, func() bool { status, _ := ready(); return status == http.StatusOK }, 5*time.Second, 10*time.Millisecond)
	for _, path := range []string{"/chats/get-chats", "/openapi.json", "/docs"} {
		require.Equal(t, http.StatusNotFound, b.get(t, 1, path).status, "without the API there is no %s", path)
	}
}

func TestCheckThatHangs(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	runs := make(chan struct{}, 100)
	b := start(t, func(c *rest.Config) {
		c.CheckInterval, c.CheckTimeout = time.Millisecond, 10*time.Millisecond
		c.Ready = []rest.Check{{Name: "stuck", Run: func(context.Context) error { runs <- struct{}{}; <-hold; return nil }}}
	})
	a := b.get(t, 0, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Eventually(t, func() bool {
		return strings.Contains(string(b.get(t, 0, "/readyz").body), "does not return")
	}, 5*time.Second, 5*time.Millisecond)
	require.Len(t, runs, 1, "one run at a time")
}

func TestLifeCycle(t *testing.T) {
	t.Parallel()
	b := start(t)
	require.NotEmpty(t, b.server.Addr())
	ctx := context.Background()
	require.NoError(t, b.server.Shutdown(ctx))
	require.NoError(t, b.server.Shutdown(ctx), "twice")
	_, err := client.Get(b.url + "/healthz")
	require.Error(t, err)

	never := newServer(t, b, "127.0.0.1:0")
	require.Empty(t, never.Addr())
	require.Empty(t, never.URL())
	require.ErrorContains(t, never.Serve(), "Listen")
	require.NoError(t, never.Shutdown(ctx), "before Listen")

	listening := newServer(t, b, "127.0.0.1:0")
	require.NoError(t, listening.Listen())
	require.ErrorContains(t, newServer(t, b, listening.Addr()).Listen(), "listening for HTTP")
	require.NoError(t, listening.Shutdown(ctx), "before Serve")
	require.NoError(t, newServer(t, b, listening.Addr()).Listen(), "the port is free again")
}

func newServer(t testing.TB, b *bundle, addr string) *rest.Server {
	t.Helper()
	s, err := rest.New(rest.Config{
		Addr: addr, Logger: discard(), API: true, DB: b.db, Policy: policyFunc(func(string) bool { return true }), Key: secret,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	return s
}

// TestStatementsPerRequest counts what the database is asked: nothing may grow
// with the number of rows.
func TestStatementsPerRequest(t *testing.T) {
	t.Parallel()
	db, counted := countingDB(t)
	b := startOn(t, db)
	db.SetMaxOpenConns(1)
	chat := b.create(t, 1, 2)
	b.fill(t, chat, 50)
	for other := int64(3); other < 40; other++ {
		b.fill(t, b.create(t, 1, other), 3)
	}
	for call, body := range everyCall(chat) {
		method, path, _ := strings.Cut(call, " ")
		ask := func() int64 {
			before := counted.Load()
			a := b.do(t, b.request(t, 1, method, path, body))
			require.Less(t, a.status, 300, "%s: %s", call, a.body)
			return counted.Load() - before
		}
		ask() // prepares
		require.Equal(t, int64(1), ask(), call)
	}
	before := counted.Load()
	require.Equal(t, http.StatusOK, b.get(t, 1, fmt.Sprintf("/messages/get-messages?chat_id=%s&limit=100", chat)).status)
	require.Equal(t, http.StatusOK, b.get(t, 1, "/chats/get-chats?include=last_message").status)
	require.LessOrEqual(t, counted.Load()-before, int64(3), "one each, and one to prepare")
	before = counted.Load()
	b.create(t, 1, 50)
	require.LessOrEqual(t, counted.Load()-before, int64(4), "look, save users, make, read")
}
