package http_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
)

// poison stores poisoned messages of a reason, with these bodies, and returns
// their ids.
func (b *bundle) poison(t testing.TB, code string, bodies ...string) []int64 {
	t.Helper()
	var batch []queries.NewPoisoned
	for i, body := range bodies {
		batch = append(batch, queries.NewPoisoned{
			PoisonID: uuid.New(), Code: code, Stage: "validate", Detail: "as the test wants it", Exchange: "database", Queue: "q",
			FirstSeen: time.Now().Add(-time.Hour), LastSeen: time.Now(), Sequence: int64(i), ChatID: strconv.Itoa(100 + i%3), SenderID: 42,
			ClientMessageID: fmt.Sprintf("c-%d", i), Properties: json.RawMessage(`{"content_type":"application/json"}`),
			Headers: json.RawMessage(`{"x-trace":{"type":"string","value":"<i>"}}`), Body: []byte(body),
		})
	}
	_, err := b.db.CollectPoisoned(t.Context(), batch)
	require.NoError(t, err)
	page, err := b.db.ListPoisoned(t.Context(), queries.PoisonFilter{Reasons: []string{code}, Limit: len(bodies)}, 0)
	require.NoError(t, err)
	var ids []int64
	for i := range page.Entries {
		ids = append(ids, page.Entries[len(page.Entries)-1-i].ID) // in the order of the bodies
	}
	return ids
}

func ids(list ...int64) []string {
	var texts []string
	for _, id := range list {
		texts = append(texts, strconv.FormatInt(id, 10))
	}
	return texts
}

// field reads a hidden field of the page.
func (a answer) field(t testing.TB, name string) string {
	t.Helper()
	_, rest, ok := strings.Cut(string(a.body), `name="`+name+`" value="`)
	require.True(t, ok, "%s is not in %s", name, a.body)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

func TestPoisonedMessagesAreFound(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	b.poison(t, "malformed_json", `{"body":"needle <script>"`, `{`, `[`)
	b.poison(t, "no_sender", `{"a":1}`)
	v := b.visit(t, viewerSecret)

	page := string(v.get(t, "/console/poisoned").body)
	require.Contains(t, page, "malformed_json")
	require.Contains(t, page, "no_sender")
	require.NotContains(t, page, "needle", "what people have written is not in lists")
	require.NotContains(t, page, "Replay …", "a viewer cannot")
	require.Contains(t, page, "reason%3Ano_sender&#43;stage%3Avalidate", "a group leads to its messages")

	found := v.post(t, "/console/poisoned/filter", url.Values{"filter": {"reason:no_sender"}})
	require.Equal(t, "/console/poisoned?filter=reason%3Ano_sender", found.header.Get("Location"))
	rows := func(a answer) int { return strings.Count(string(a.body), `data-label="Message"`) }
	require.Equal(t, 1, rows(v.get(t, found.header.Get("Location"))))

	found = v.post(t, "/console/poisoned/filter", url.Values{"filter": {`contains:"needle <script>"`}})
	address := found.header.Get("Location")
	require.NotContains(t, address, "needle", "what messages hold is in no address")
	a := v.get(t, address)
	require.Equal(t, 1, rows(a))
	require.Contains(t, string(a.body), `value="contains:&#34;needle &lt;script&gt;&#34;"`, "but in the box")
	require.Equal(t, http.StatusUnprocessableEntity, v.get(t, address[:len(address)-4]).status)

	require.Contains(t, string(v.get(t, "/console/poisoned?filter=chat%3A999").body), "Nothing matches")
	a = v.post(t, "/console/poisoned/filter", url.Values{"filter": {"sender:me"}})
	require.Equal(t, http.StatusUnprocessableEntity, a.status)
	require.Contains(t, string(a.body), "not the id of a user")
	require.Contains(t, string(a.body), `value="sender:me"`, "what was written stays")

	empty := start(t, operated)
	require.Contains(t, string(empty.visit(t, viewerSecret).get(t, "/console/poisoned").body), "Nothing waits")
}

func TestPoisonedListGoesOn(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	b.poison(t, "empty", make([]string, 60)...)
	v := b.visit(t, operatorSecret)
	first := string(v.get(t, "/console/poisoned").body)
	require.Equal(t, 50, strings.Count(first, `data-label="Message"`))
	_, rest, ok := strings.Cut(first, `<a href="/console/poisoned?before=`)
	require.True(t, ok)
	before, _, _ := strings.Cut(rest, `"`)
	second := string(v.get(t, "/console/poisoned?before="+before).body)
	require.Equal(t, 10, strings.Count(second, `data-label="Message"`))
	require.NotContains(t, second, ">Older<")
	require.Contains(t, second, ">Newest<")
}

func TestOnePoisonedMessage(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	all := b.poison(t, "no_sender", `{"body":"<b>secret</b>"}`, "\xff\x00", "line\n")
	path := func(i int) string { return "/console/poisoned/" + strconv.FormatInt(all[i], 10) }
	v := b.visit(t, operatorSecret)

	hidden := string(v.get(t, path(0)).body)
	require.NotContains(t, hidden, "secret")
	require.Contains(t, hidden, "would be poisoned again")
	require.Contains(t, hidden, "x-trace")
	shown := string(v.post(t, path(0)+"/body", nil).body)
	require.Contains(t, shown, "&lt;b&gt;secret&lt;/b&gt;")
	require.Contains(t, string(v.post(t, path(1)+"/body", nil).body), "ff 00")
	records, _, err := b.db.ListAudit(t.Context(), queries.AuditFilter{Action: "poison.show"})
	require.NoError(t, err)
	require.Len(t, records, 2)
	require.Equal(t, "otto", records[1].Who)
	require.Equal(t, "console", records[1].Via)

	mended := `{"client_message_id":"c","chat_id":"1","sender_id":1,"recipient_id":2,"sent_at":"2026-01-02T15:04:05.000001Z","body":"x"}`
	require.Equal(t, path(0), v.post(t, path(0)+"/edit", url.Values{"body": {mended}}).header.Get("Location"))
	edited := string(v.get(t, path(0)).body)
	require.Contains(t, edited, "would pass validation")
	require.Contains(t, edited, "by otto")
	v.post(t, path(0)+"/revert", nil)
	require.Contains(t, string(v.get(t, path(0)).body), "would be poisoned again")

	v.post(t, path(2)+"/edit", url.Values{"body": {"one\r\ntwo\r\n"}})
	m, _, err := b.db.PoisonedMessage(t.Context(), all[2])
	require.NoError(t, err)
	require.Equal(t, "one\ntwo\n", string(m.EditedBody), "a browser's line ends are not the operator's")
	require.Equal(t, "line\n", string(m.Body))

	require.Equal(t, http.StatusNotFound, v.get(t, "/console/poisoned/999999").status)
	require.Equal(t, http.StatusNotFound, v.post(t, "/console/poisoned/999999/edit", url.Values{"body": {"x"}}).status)
}

func TestPoisonedMessagesAreReplayedAndDiscarded(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	bad := b.poison(t, "malformed_json", "1", "2", "3")
	b.poison(t, "no_sender", "4")
	v := b.visit(t, operatorSecret)

	require.Equal(t, http.StatusUnprocessableEntity, v.post(t, "/console/poisoned/preview", url.Values{"kind": {"replay"}}).status, "nothing is selected")
	preview := v.post(t, "/console/poisoned/preview", url.Values{"kind": {"replay"}, "which": {"all"}, "filter": {"reason:malformed_json"}})
	require.Equal(t, http.StatusOK, preview.status, "%s", preview.body)
	require.Contains(t, string(preview.body), "Replay 3 messages?")
	agreed := url.Values{"kind": {"replay"}, "rate": {"50"}}
	for _, name := range []string{"filter", "bound", "expected"} {
		agreed.Set(name, preview.field(t, name))
	}
	b.poison(t, "malformed_json", "5") // after the preview
	begun := v.post(t, "/console/jobs", agreed)
	require.Equal(t, http.StatusSeeOther, begun.status, "%s", begun.body)
	job := begun.header.Get("Location")
	page := string(v.get(t, job).body)
	require.Contains(t, page, "0 of 3")
	require.Contains(t, page, "50 /s")
	require.Contains(t, string(v.get(t, "/console/poisoned").body), "Under way")

	require.Equal(t, http.StatusSeeOther, v.post(t, job+"/pause", nil).status)
	require.Contains(t, string(v.get(t, job).body), "Resume")
	require.Equal(t, http.StatusSeeOther, v.post(t, job+"/resume", nil).status)
	require.Equal(t, http.StatusSeeOther, v.post(t, job+"/cancel", nil).status)
	require.Equal(t, http.StatusConflict, v.post(t, job+"/resume", nil).status, "it has ended")
	require.Contains(t, string(v.get(t, "/console/jobs").body), "cancelled")

	discard := v.post(t, "/console/poisoned/preview", url.Values{"kind": {"discard"}, "id": ids(bad[0], bad[2])})
	require.Contains(t, string(discard.body), "Discard 2 messages?")
	given := url.Values{"kind": {"discard"}, "filter": {discard.field(t, "filter")}, "bound": {discard.field(t, "bound")}, "expected": {"2"}}
	require.Equal(t, http.StatusUnprocessableEntity, v.post(t, "/console/jobs", given).status, "without a reason")
	given.Set("reason", "a test")
	require.Equal(t, http.StatusSeeOther, v.post(t, "/console/jobs", given).status)
	given.Set("expected", "1")
	require.Equal(t, http.StatusConflict, v.post(t, "/console/jobs", given).status, "more than was agreed to")

	audit := string(v.get(t, "/console/audit?action=poison").body)
	require.Contains(t, audit, "poison.replay")
	require.Contains(t, audit, "poison.discard")
	require.Contains(t, audit, "refused")
}

func TestPoisonedMessagesAreExported(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	b.poison(t, "empty", make([]string, 250)...)
	b.poison(t, "no_sender", "x")
	v := b.visit(t, operatorSecret)
	a := v.post(t, "/console/poisoned/export", url.Values{"which": {"all"}, "filter": {"reason:empty"}})
	require.Equal(t, http.StatusOK, a.status)
	require.Equal(t, "application/x-ndjson", a.header.Get("Content-Type"))
	require.Contains(t, a.header.Get("Content-Disposition"), "attachment")
	require.Equal(t, 250, bytes.Count(a.body, []byte("\n")))
	require.Equal(t, http.StatusConflict, v.post(t, "/console/poisoned/export", url.Values{"id": {"999999"}}).status)
	records, _, err := b.db.ListAudit(t.Context(), queries.AuditFilter{Action: "poison.export"})
	require.NoError(t, err)
	require.Len(t, records, 2)
}
