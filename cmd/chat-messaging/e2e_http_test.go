package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// client does not keep connections, so that none is left behind.
var client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// get returns the status and body of an address.
func get(t testing.TB, url string) (int, string) {
	t.Helper()
	response, err := client.Get(url)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func status(t testing.TB, url string) int {
	t.Helper()
	code, _ := get(t, url)
	return code
}

func awaitReady(t testing.TB, url string) {
	t.Helper()
	var body string
	eventually(t, "it is not ready", func() bool {
		var code int
		code, body = get(t, url+"/readyz")
		return code == http.StatusOK
	})
	require.NotContains(t, body, `"down"`)
}

// awaitNotReady waits until a check fails for the reason.
func awaitNotReady(t testing.TB, url, check, reason string) {
	t.Helper()
	var body string
	defer func() {
		if t.Failed() {
			t.Logf("the last answer: %s", body)
		}
	}()
	eventually(t, "it does not say that "+check+" fails: "+reason, func() bool {
		var code int
		code, body = get(t, url+"/readyz")
		if code != http.StatusServiceUnavailable {
			return false
		}
		var answer struct {
			Checks map[string]struct{ Status, Reason string }
		}
		require.NoError(t, json.Unmarshal([]byte(body), &answer), body)
		return answer.Checks[check].Status == "down" && strings.Contains(answer.Checks[check].Reason, reason)
	})
}

// metric reads a metric by its labels.
func metric(t testing.TB, url, name string) map[string]float64 {
	t.Helper()
	_, body := get(t, url+"/metrics")
	values := map[string]float64{}
	for line := range strings.Lines(body) {
		labels, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if labels, found := strings.CutPrefix(labels, name+"{"); ok && found {
			n, err := strconv.ParseFloat(value, 64)
			require.NoError(t, err)
			values[strings.TrimSuffix(labels, "}")] = n
		}
	}
	return values
}

// counter reads a metric that has no labels.
func counter(t testing.TB, url, name string) float64 {
	t.Helper()
	_, body := get(t, url+"/metrics")
	for line := range strings.Lines(body) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), name+" "); found {
			n, err := strconv.ParseFloat(value, 64)
			require.NoError(t, err)
			return n
		}
	}
	require.Fail(t, "there is no metric "+name)
	return 0
}
