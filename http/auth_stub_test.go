package http_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// authStub is an auth service as the contract describes it, with switches for
// faults. It knows the users 1 to 99.
type authStub struct {
	*httptest.Server

	mu      sync.Mutex
	asked   int
	headers []http.Header
	// fault, if set, answers instead.
	fault http.HandlerFunc
}

func newAuthStub(t testing.TB) *authStub {
	t.Helper()
	a := &authStub{}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

// answerWith makes the stub misbehave; nil makes it well again.
func (a *authStub) answerWith(fault http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fault = fault
}

func (a *authStub) timesAsked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

func (a *authStub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.asked++
	a.headers = append(a.headers, r.Header.Clone())
	fault := a.fault
	a.mu.Unlock()
	if fault != nil {
		fault(w, r)
		return
	}
	if r.Method != http.MethodPost || r.URL.Path != "/users/get-users-info" {
		http.NotFound(w, r)
		return
	}
	var question struct {
		UserIDs []int64 `json:"user_ids"`
	}
	if err := json.NewDecoder(r.Body).Decode(&question); err != nil {
		http.Error(w, "bad", http.StatusUnprocessableEntity)
		return
	}
	users := []json.RawMessage{}
	for _, id := range question.UserIDs {
		if id <= 99 {
			users = append(users, json.RawMessage(userObject(id)))
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(users)
}

// userObject is a user with fields that are not for us.
func userObject(id int64) string {
	return fmt.Sprintf(`{"username":"user %d","id":%d,"avatar_url":null,"extra":{"rank":1.50,"tags":["a","b"]}}`, id, id)
}

// says answers with a body.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// logBuffer collects log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
