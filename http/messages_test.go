package http_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// page is a page of history.
type page struct {
	Messages []struct {
		ID  string `json:"id"`
		Seq int64  `json:"seq"`
	} `json:"messages"`
	Cursor                string `json:"cursor"`
	PreviousMessagesExist bool   `json:"previous_messages_exist"`
	NextMessagesExist     bool   `json:"next_messages_exist"`
	LastSeq               int64  `json:"last_seq"`
}

func (p page) seqs() []int64 {
	list := []int64{}
	for _, m := range p.Messages {
		list = append(list, m.Seq)
	}
	return list
}

func (b *bundle) history(t testing.TB, chat, query string) page {
	t.Helper()
	a := b.get(t, 1, "/messages/get-messages?chat_id="+chat+query)
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
	var p page
	a.decode(t, &p)
	return p
}

func TestHistoryPages(t *testing.T) {
	t.Parallel()
	b := start(t)
	chat, empty := chatOf(t, b, 1, 2), chatOf(t, b, 1, 3)
	b.fill(t, chat, 12)
	for _, c := range []struct {
		name, chat, query string
		want              []int64
		previous, next    bool
		more              bool
	}{
		{"the newest ten, newest first", chat, "", []int64{12, 11, 10, 9, 8, 7, 6, 5, 4, 3}, true, false, true},
		{"all of them", chat, "&limit=100", []int64{12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, false, false, false},
		{"exactly all of them", chat, "&limit=12", []int64{12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, false, false, false},
		{"no messages", empty, "", []int64{}, false, false, false},
		{"no messages, oldest first", empty, "&order=asc", []int64{}, false, false, false},
		{"no messages, around", empty, "&around=5", []int64{}, false, false, false},
		{"the oldest", chat, "&order=asc&limit=3", []int64{1, 2, 3}, false, true, true},
		{"before", chat, "&before=5&limit=2", []int64{4, 3}, true, true, true},
		{"before, oldest first", chat, "&before=5&limit=2&order=asc", []int64{3, 4}, true, true, true},
		{"before the second", chat, "&before=2&limit=2", []int64{1}, false, true, false},
		{"before the first", chat, "&before=1", []int64{}, false, true, false},
		{"after", chat, "&after=5&limit=2", []int64{7, 6}, true, true, true},
		{"after, oldest first", chat, "&after=5&limit=2&order=asc", []int64{6, 7}, true, true, true},
		{"after the last but one", chat, "&after=11", []int64{12}, true, false, false},
		{"after the last", chat, "&after=12", []int64{}, true, false, false},
		{"after nothing", chat, "&after=0&limit=1", []int64{1}, false, true, true},
		{"around", chat, "&around=6&limit=3", []int64{7, 6, 5}, true, true, true},
		{"around the first", chat, "&around=1&limit=3&order=asc", []int64{1, 2, 3}, false, true, false},
		{"around the last", chat, "&around=12&limit=3", []int64{12, 11, 10}, true, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := b.history(t, c.chat, c.query)
			require.Equal(t, c.want, p.seqs())
			require.Equal(t, c.previous, p.PreviousMessagesExist, "previous")
			require.Equal(t, c.next, p.NextMessagesExist, "next")
			require.Equal(t, c.more, p.Cursor != "", "cursor")
		})
	}
	t.Run("a message has the fields of the event", func(t *testing.T) {
		t.Parallel()
		want := `{"id":"` + chat + `-3","client_message_id":"` + chat + `-3","chat_id":"` + chat + `","sender_id":2,"recipient_id":1,
			"sent_at":"2026-01-02T15:04:05.000001Z","body":"message 3","status":"delivered","delivered_at":"2026-01-02T15:04:08.123456Z",
			"is_edited":false,"is_deleted":false,"reject_reason":null,"reject_code":null,"seq":3}`
		require.JSONEq(t, want, string(b.get(t, 2, "/messages/"+chat+"-3").body))
		a := b.get(t, 1, "/messaging/messages/get-messages/?limit=1&before=4&chat_id="+chat)
		require.JSONEq(t, `{"messages":[`+want+`],"previous_messages_exist":true,"next_messages_exist":true,"last_seq":12,"cursor":`+
			strconv.Quote(b.history(t, chat, "&limit=1&before=4").Cursor)+`}`, string(a.body))
	})
}

func TestWalkWhileMessagesArrive(t *testing.T) {
	t.Parallel()
	b := start(t)
	chat := chatOf(t, b, 1, 2)
	b.fill(t, chat, 25)
	arrive := func(seq int64) {
		_, err := b.db.Exec(`
WITH c AS (UPDATE chats SET last_seq = $2 WHERE id = $1::int8 RETURNING id)
INSERT INTO messages (chat_id, seq, sender_id, recipient_id, delivered_at, fingerprint, client_message_id, sent_at, body)
SELECT id, $2, 1, 2, now(), '\x00', 'late ' || $2::int8, '', 'late' FROM c`, chat, seq)
		require.NoError(t, err)
	}
	for name, c := range map[string]struct {
		first string
		want  func(i int) int64
	}{
		"back from the newest":    {"&limit=4", func(i int) int64 { return 25 - int64(i) }},
		"forward from the oldest": {"&limit=4&order=asc", func(i int) int64 { return 1 + int64(i) }},
	} {
		t.Run(name, func(t *testing.T) {
			var seen []int64
			query := c.first
			next := b.history(t, chat, "").LastSeq
			for range 100 {
				p := b.history(t, chat, query)
				seen = append(seen, p.seqs()...)
				if next++; next < 35 {
					arrive(next)
				}
				if p.Cursor == "" {
					break
				}
				query = "&limit=4&cursor=" + url.QueryEscape(p.Cursor)
			}
			require.GreaterOrEqual(t, len(seen), 25)
			for i, seq := range seen {
				if name == "back from the newest" {
					require.Equal(t, seen[0]-int64(i), seq, "%v", seen)
				} else {
					require.Equal(t, c.want(i), seq, "%v", seen)
				}
			}
		})
	}
}

func TestETags(t *testing.T) {
	t.Parallel()
	b := start(t)
	chat := b.create(t, 1, 2)
	b.fill(t, chat, 3)
	for _, path := range []string{
		"/messages/get-messages?chat_id=" + chat, "/messages/" + chat + "-3", "/chats/" + chat,
		"/chats/get-chats?include=last_message", "/openapi.json",
	} {
		first := b.get(t, 1, path)
		tag := first.header.Get("ETag")
		require.NotEmpty(t, tag, path)
		for _, given := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
			r := b.request(t, 1, http.MethodGet, path, "")
			r.Header.Set("If-None-Match", given)
			again := b.do(t, r)
			require.Equal(t, http.StatusNotModified, again.status, path)
			require.Equal(t, tag, again.header.Get("ETag"))
			require.Empty(t, again.body)
		}
		r := b.request(t, 1, http.MethodGet, path, "")
		r.Header.Set("If-None-Match", `"other"`)
		require.Equal(t, http.StatusOK, b.do(t, r).status)
		if path == "/openapi.json" {
			continue
		}
		require.Equal(t, "private, no-cache", first.header.Get("Cache-Control"))
		_, err := b.db.Exec(`UPDATE messages SET body = body || '!'`)
		require.NoError(t, err)
		if path != "/chats/get-chats" {
			require.NotEqual(t, tag, b.get(t, 1, path).header.Get("ETag"), path)
		}
	}
}

// TestNobodySeesWhatIsNotTheirs walks every route of the document with the ids of
// another user's chat.
func TestNobodySeesWhatIsNotTheirs(t *testing.T) {
	t.Parallel()
	b := start(t)
	chat := b.create(t, 1, 2)
	b.fill(t, chat, 20)
	const canary = "for no third eye"
	_, err := b.db.Exec(`UPDATE messages SET body = $1`, canary)
	require.NoError(t, err)
	theirs := b.history(t, chat, "").Cursor
	doc, _ := document(t)
	calls := map[string][]func() answer{
		"create_chat": {func() answer { return b.post(t, 3, "/chats/", `{"user_ids":[1,2]}`) }},
		"get_chats": {
			func() answer { return b.get(t, 3, "/chats/get-chats?include=last_message") },
			func() answer { return b.get(t, 3, "/chats/get-chats?cursor="+theirs) },
		},
		"get_chat":    {func() answer { return b.get(t, 3, "/chats/"+chat) }},
		"update_user": {func() answer { return b.post(t, 3, "/chats/update-chat-related-user", `{"id":1,"username":"three"}`) }},
		"get_messages": {
			func() answer { return b.get(t, 3, "/messages/get-messages?chat_id="+chat) },
			func() answer { return b.get(t, 3, "/messages/get-messages?chat_id="+chat+"&cursor="+theirs) },
			func() answer { return b.get(t, 3, "/messages/get-messages?chat_id="+chat+"&around=5") },
			func() answer {
				return b.get(t, 3, "/messages/get-messages?cursor="+theirs+"&chat_id="+b.create(t, 3, 4))
			},
		},
		"get_message": {func() answer { return b.get(t, 3, "/messages/"+chat+"-1") }, func() answer { return b.get(t, 3, "/messages/"+chat+"-999") }},
	}
	want := map[string]int{"create_chat": 403, "get_chat": 404, "update_user": 403, "get_message": 404}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			if operation.Security != nil && len(*operation.Security) == 0 {
				continue // for everybody, so it knows nobody's data
			}
			if strings.HasPrefix(path, "/admin/") {
				// For operators, whose routes have a walk of their own; a user, any
				// user, finds nothing there.
				a := b.do(t, b.request(t, 3, method, strings.NewReplacer("{id}", chat+"-1").Replace(path), ""))
				require.Equal(t, http.StatusNotFound, a.status, "%s %s", method, path)
				require.NotContains(t, string(a.body), canary)
				continue
			}
			ask, known := calls[operation.OperationID]
			require.True(t, known, "no walk for %s %s", method, path)
			for i, call := range ask {
				a := call()
				require.NotContains(t, string(a.body), canary)
				require.NotContains(t, string(a.body), chat, "%s %d", operation.OperationID, i)
				if status, ok := want[operation.OperationID]; ok {
					require.Equal(t, status, a.status, operation.OperationID)
				}
			}
		}
	}
	var mine struct {
		RelatedUsers []struct{ Username string } `json:"related_users"`
	}
	b.post(t, 1, "/chats/", `{"user_ids":[1,2]}`).decode(t, &mine)
	require.Equal(t, "user 1", mine.RelatedUsers[0].Username)
	require.Equal(t, "[]", fmt.Sprint(string(b.get(t, 5, "/chats/get-chats").body)))
}
