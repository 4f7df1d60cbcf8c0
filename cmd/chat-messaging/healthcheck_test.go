package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthcheckTellsByItsExitCode(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz":
			w.WriteHeader(http.StatusOK)
		case "/moved":
			http.Redirect(w, r, "/healthz", http.StatusFound)
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}

	tests := []struct {
		name string
		addr string
		args []string
		code int
		want string
	}{
		{"at the port of HTTP_ADDR", ":" + port, nil, exitOK, "healthy"},
		{"where it listens on every address", "0.0.0.0:" + port, nil, exitOK, "healthy"},
		{"where it listens on every address of IPv6", "[::]:" + port, nil, exitOK, "healthy"},
		{"where it listens on one address", "127.0.0.1:" + port, nil, exitOK, "healthy"},
		{"at a URL", ":1", []string{"--url", server.URL + "/healthz"}, exitOK, "healthy"},
		{"not ready", ":1", []string{"--url", server.URL + "/readyz"}, exitFailed, "503"},
		{"redirected", ":1", []string{"--url", server.URL + "/moved"}, exitFailed, "302"},
		{"nobody there", ":1", nil, exitFailed, "refused"},
		{"port unknown", ":0", nil, exitUsage, "--url"},
		{"wrong address", "nonsense", nil, exitFailed, "HTTP_ADDR"},
		{"no time", ":1", []string{"--timeout", "0s"}, exitUsage, "--timeout"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := execute(t, []string{"HTTP_ADDR=" + test.addr}, append([]string{"healthcheck"}, test.args...)...)
			if got.code != test.code || !strings.Contains(got.stdout+got.stderr, test.want) {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %d and %q",
					got.code, got.stdout, got.stderr, test.code, test.want)
			}
		})
	}
}

func TestHealthcheckDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	release, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release.Done():
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(cancel)
	got := execute(t, nil, "healthcheck", "--timeout", "50ms", "--url", server.URL)
	if got.code != exitFailed || !strings.Contains(got.stderr, "deadline exceeded") {
		t.Errorf("exit code %d, stderr %q", got.code, got.stderr)
	}
}
