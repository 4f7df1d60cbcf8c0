package http_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
)

func TestMessagesAreLookedUp(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	chat := chatOf(t, b, 1, 2)
	b.fill(t, chat, 30)
	v := b.visit(t, viewerSecret)
	search := func(fields ...string) answer {
		query := url.Values{}
		for i := 0; i < len(fields); i += 2 {
			query.Set(fields[i], fields[i+1])
		}
		return v.get(t, "/console/messages?"+query.Encode())
	}
	rows := func(a answer) int { return strings.Count(string(a.body), `data-label="Message"`) }

	require.Equal(t, http.StatusOK, v.get(t, "/console/messages").status)
	require.Equal(t, "/console/messages/"+chat+"-7", search("id", " "+chat+"-7 ").header.Get("Location"))
	require.Equal(t, "/console/messages/"+chat+"-7", search("chat", chat, "seq", "7").header.Get("Location"))
	require.Equal(t, 20, rows(search("chat", chat)))
	require.Equal(t, 15, rows(search("sender", "1")))
	require.Equal(t, 1, rows(search("sender", senderOf(7), "client_message_id", chat+"-7")))
	require.Equal(t, 1, rows(search("chat", chat, "client_message_id", chat+"-7")))
	require.Contains(t, string(search("sender", "999").body), "No such message")
	for _, wrong := range [][]string{{"client_message_id", "x"}, {"chat", "abc"}, {"sender", "-1"}, {"seq", "3"}, {"id", "7"}} {
		a := search(wrong...)
		require.Equal(t, http.StatusUnprocessableEntity, a.status, wrong)
		require.Contains(t, string(a.body), "role=\"alert\"")
	}

	poisoned := b.poison(t, "bad_sender", "{}")
	require.Contains(t, string(search("chat", "100", "client_message_id", "c-0").body), "/console/poisoned/"+strconv.FormatInt(poisoned[0], 10))

	page := string(v.get(t, "/console/messages/"+chat+"-7").body)
	require.Equal(t, 7, strings.Count(page, `data-label="Message"`), "with its neighbours")
	require.Contains(t, page, "Dispatched")
	require.NotContains(t, page, "message 7")
	shown := string(v.post(t, "/console/messages/"+chat+"-7/bodies", nil).body)
	require.Contains(t, shown, "message 7")
	records, _, err := b.db.ListAudit(t.Context(), queries.AuditFilter{Action: "messages.body"})
	require.NoError(t, err)
	require.Len(t, records, 1)
	require.Equal(t, "vera", records[0].Who)
	require.Equal(t, "console", records[0].Via)
	require.Equal(t, http.StatusNotFound, v.get(t, "/console/messages/"+chat+"-31").status)
	require.Equal(t, http.StatusNotFound, v.get(t, "/console/messages/1-1").status)
}

// senderOf is who fill lets send a message.
func senderOf(seq int64) string { return strconv.FormatInt(1+seq%2, 10) }

func TestMessagesInABrowser(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	chat := chatOf(t, b, 1, 2)
	b.fill(t, chat, 30)
	p := openTab(t, browse(t))
	p.do(t, chromedp.Navigate(b.url+"/console/messages"))
	p.login(t, viewerSecret)
	p.look(t, "search")
	p.do(t, chromedp.SendKeys(chromedp.CSS(`#chat`), chat+"\r"), chromedp.WaitVisible(chromedp.CSS(`tbody a`)))
	p.look(t, "found")
	p.do(t, chromedp.Click(chromedp.CSS(`tbody tr:nth-child(9) a`)), chromedp.WaitVisible(chromedp.CSS(`.path`)))
	require.NotContains(t, ask(t, p, chromedp.Text(chromedp.CSS(`main`))), "message 2")
	p.do(t, chromedp.Click(chromedp.CSS(`form[action$=bodies] button`)), chromedp.WaitVisible(chromedp.CSS(`.text`)))
	p.look(t, "message")
	p.requireQuiet(t, b.url)
}
