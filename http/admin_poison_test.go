package http_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
)

// A script can do what a person can: look, mend, preview, replay, and see who did.
func TestAdminPoisoned(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	var batch []queries.NewPoisoned
	for n := range 5 {
		at := time.Date(2026, 1, 2, 3, 4, n, 0, time.UTC)
		batch = append(batch, queries.NewPoisoned{
			PoisonID: uuid.New(), Code: []string{"empty", "loop"}[n%2], Stage: "validate", FirstSeen: at, LastSeen: at, Sequence: int64(n),
			ChatID: "7", SenderID: 1, Properties: json.RawMessage(`{"content_type":"text/plain"}`),
			Headers: json.RawMessage(`{"a":{"type":"int8","value":1}}`), Body: []byte("\x00\xff"),
		})
	}
	_, err := b.db.CollectPoisoned(t.Context(), batch)
	require.NoError(t, err)
	call := func(bearer, method, path, body string, want int) string {
		t.Helper()
		a := b.ask(t, bearer, method, path, body)
		require.Equal(t, want, a.status, "%s %s: %s", method, path, a.body)
		require.Equal(t, "no-store", a.header.Get("Cache-Control"))
		return string(a.body)
	}
	var page struct {
		Entries []queries.Poisoned
		Next    int64
	}
	require.NoError(t, json.Unmarshal([]byte(call(viewerSecret, "GET", "/admin/poisoned?reason=empty&limit=2", "", http.StatusOK)), &page))
	require.Len(t, page.Entries, 2)
	require.NoError(t, json.Unmarshal([]byte(call(viewerSecret, "GET", fmt.Sprintf("/admin/poisoned?reason=empty&before=%d", page.Next), "", http.StatusOK)), &page))
	require.Len(t, page.Entries, 1)
	require.Zero(t, page.Next)
	entry := fmt.Sprintf("/admin/poisoned/%d", page.Entries[0].ID)
	require.Contains(t, call(viewerSecret, "GET", "/admin/poisoned/groups?since=2026-01-01", "", http.StatusOK), `"reason":"loop"`)
	require.Contains(t, call(viewerSecret, "GET", "/admin/poisoned/preview?kind=replay&reason=loop", "", http.StatusOK), `"count":2`)
	for _, path := range []string{
		"/admin/poisoned?sender=x", "/admin/poisoned?before=x", "/admin/poisoned/groups?since=soon", "/admin/poisoned/preview?kind=eat",
		"/admin/poisoned/preview?kind=replay&limit=0", "/admin/jobs?limit=0", "/admin/audit?job=x",
	} {
		require.Contains(t, call(viewerSecret, "GET", path, "", http.StatusUnprocessableEntity), `"errors"`)
	}

	call(operatorSecret, "PUT", entry+"/body", `{"body":"mended"}`, http.StatusNoContent)
	require.Contains(t, call(viewerSecret, "GET", entry, "", http.StatusOK), `"edited_body":"mended"`)
	call(operatorSecret, "DELETE", entry+"/body", "", http.StatusNoContent)
	call(operatorSecret, "PUT", entry+"/body", `{"body_base64":"AP8="}`, http.StatusNoContent)
	call(operatorSecret, "PUT", entry+"/body", `{}`, http.StatusUnprocessableEntity)
	call(operatorSecret, "PUT", "/admin/poisoned/999/body", `{"body":""}`, http.StatusNotFound)
	call(viewerSecret, "GET", "/admin/poisoned/999", "", http.StatusNotFound)

	var job queries.Job
	created := call(operatorSecret, "POST", "/admin/jobs", `{"kind":"replay","selection":"reason:loop","rate":5}`, http.StatusCreated)
	require.NoError(t, json.Unmarshal([]byte(created), &job))
	require.Equal(t, int64(2), job.Expected)
	one := fmt.Sprintf("/admin/jobs/%d", job.ID)
	require.Contains(t, call(operatorSecret, "POST", one+"/pause", "", http.StatusOK), `"paused"`)
	call(operatorSecret, "POST", one+"/resume", "", http.StatusOK)
	call(operatorSecret, "POST", one+"/cancel", "", http.StatusOK)
	call(operatorSecret, "POST", one+"/resume", "", http.StatusConflict)
	call(viewerSecret, "GET", one, "", http.StatusOK)
	call(viewerSecret, "GET", "/admin/jobs/999", "", http.StatusNotFound)
	require.Contains(t, call(viewerSecret, "GET", "/admin/jobs?open=true", "", http.StatusOK), `"jobs":[]`)
	call(operatorSecret, "POST", "/admin/jobs", `{"kind":"replay","selection":"chat:8"}`, http.StatusConflict)
	call(operatorSecret, "POST", "/admin/jobs", `{"kind":"replay","expected":1}`, http.StatusConflict)
	call(operatorSecret, "POST", "/admin/jobs", `{"kind":"discard"}`, http.StatusUnprocessableEntity)
	call(operatorSecret, "POST", "/admin/jobs", `{"kind":"replay","selection":"colour:red"}`, http.StatusUnprocessableEntity)

	audit := call(viewerSecret, "GET", "/admin/audit?action=poison.&limit=20", "", http.StatusOK)
	for _, told := range []string{`"poison.show"`, `"poison.edit"`, `"poison.revert"`, `"poison.replay"`, `"refused"`, `"otto"`, `"vera"`, `"rest"`} {
		require.Contains(t, audit, told)
	}

	discard := call(operatorSecret, "POST", "/admin/jobs", `{"kind":"discard","reason":"a test"}`, http.StatusCreated)
	job = queries.Job{}
	require.NoError(t, json.Unmarshal([]byte(discard), &job))
	_, _, err = b.db.SettleNext(t.Context(), &job, 10)
	require.NoError(t, err)
	call(operatorSecret, "PUT", entry+"/body", `{"body":"too late"}`, http.StatusConflict)
}

// What is exported from one service is in another after the import, to the byte,
// and importing it again adds nothing.
func TestAdminExportAndImport(t *testing.T) {
	t.Parallel()
	from, to := start(t, operated), start(t, operated)
	var batch []queries.NewPoisoned
	for n := range 3 {
		at := time.Date(2026, 1, 2, 3, 4, n, 0, time.UTC)
		batch = append(batch, queries.NewPoisoned{
			PoisonID: uuid.New(), Code: []string{"empty", "loop"}[n%2], Stage: "validate", FirstSeen: at, LastSeen: at, Sequence: int64(n),
			Properties: json.RawMessage(`{}`), Headers: json.RawMessage(`{}`), Body: []byte("\x00\xff"),
		})
	}
	_, err := from.db.CollectPoisoned(t.Context(), batch)
	require.NoError(t, err)

	require.Equal(t, http.StatusForbidden, from.ask(t, viewerSecret, "GET", "/admin/poisoned/export", "").status)
	require.Equal(t, http.StatusConflict, from.ask(t, operatorSecret, "GET", "/admin/poisoned/export?reason=panic", "").status)
	require.Equal(t, http.StatusUnprocessableEntity, from.ask(t, operatorSecret, "GET", "/admin/poisoned/export?sender=x", "").status)
	exported := from.ask(t, operatorSecret, "GET", "/admin/poisoned/export?reason=empty", "")
	require.Equal(t, http.StatusOK, exported.status)
	require.Equal(t, 2, strings.Count(string(exported.body), "\n"))

	put := func(secret, contentType, body string) answer {
		r := to.request(t, 0, http.MethodPost, "/admin/poisoned/import", body)
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Authorization", "Bearer "+secret)
		return to.do(t, r)
	}
	require.Equal(t, http.StatusForbidden, put(viewerSecret, "application/x-ndjson", string(exported.body)).status)
	require.Equal(t, http.StatusUnsupportedMediaType, put(operatorSecret, "application/json", string(exported.body)).status)
	for _, want := range []string{`{"added":2,"known":0,"unreadable":1}`, `{"added":0,"known":2,"unreadable":1}`} {
		a := put(operatorSecret, "application/x-ndjson", string(exported.body)+"\nno message\n")
		require.Equal(t, http.StatusOK, a.status)
		require.JSONEq(t, want, string(a.body))
	}
	again := to.ask(t, operatorSecret, "GET", "/admin/poisoned/export", "")
	var one, other []queries.PoisonedMessage
	for _, exports := range []struct {
		text []byte
		into *[]queries.PoisonedMessage
	}{{exported.body, &one}, {again.body, &other}} {
		for line := range strings.Lines(string(exports.text)) {
			var m queries.PoisonedMessage
			require.NoError(t, json.Unmarshal([]byte(line), &m))
			m.ID, m.CollectedAt = 0, time.Time{} // each service has its own
			*exports.into = append(*exports.into, m)
		}
	}
	require.Equal(t, one, other)
	require.Contains(t, string(to.ask(t, viewerSecret, "GET", "/admin/audit?action=poison.import", "").body), `"partly"`)
}
