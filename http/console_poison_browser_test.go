package http_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
)

func TestPoisonedMessagesInABrowser(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	p := openTab(t, browse(t))
	p.do(t, chromedp.Navigate(b.url+"/console/poisoned"))
	p.login(t, operatorSecret)
	p.look(t, "none")

	bodies := make([]string, 60)
	for i := range bodies {
		bodies[i] = fmt.Sprintf(`{"client_message_id":"c-%d","chat_id":"77","recipient_id":2,"sent_at":"2026-01-02T15:04:05.000001Z","body":"Hello <%d>"}`, i, i)
	}
	all := b.poison(t, "no_sender", bodies...)
	b.poison(t, "malformed_json", `{"body":`, "not JSON at all")
	p.do(t, chromedp.WaitVisible(chromedp.CSS(`#groups tbody a`))) // by itself
	require.Equal(t, "60", ask(t, p, chromedp.Text(chromedp.CSS(`#groups tbody tr:first-child .number`))))

	b.editInABrowser(t, p, all[0])

	p.do(t,
		chromedp.Navigate(b.url+"/console/poisoned"),
		chromedp.SendKeys(chromedp.CSS(`#filter`), `reason:no_sender contains:"Hello <"`+"\r"),
		chromedp.WaitVisible(chromedp.CSS(`[rel=next]`)),
	)
	require.NotContains(t, ask(t, p, chromedp.Location()), "Hello")
	p.look(t, "found")
	p.do(t, chromedp.Click(chromedp.CSS(`input[data-all]`)))
	require.Equal(t, 50, ask(t, p, chromedp.Evaluate[int](`document.querySelectorAll("input[name=id]:checked").length`)))
	p.do(t,
		chromedp.Click(chromedp.CSS(`input[value=all]`)),
		chromedp.Click(chromedp.CSS(`button[value=replay]`)),
		chromedp.WaitVisible(chromedp.CSS(`#rate`)),
	)
	require.Equal(t, "Replay 60 messages?", ask(t, p, chromedp.Text(chromedp.CSS(`h1`))))
	p.look(t, "preview")
	p.do(t, chromedp.Click(chromedp.CSS(`form .row button`)), chromedp.WaitVisible(chromedp.CSS(`#job`)))
	b.watchJobInABrowser(t, p)

	p.do(t, chromedp.Navigate(b.url+"/console/jobs"), chromedp.WaitVisible(chromedp.CSS(`tbody`)))
	p.look(t, "jobs")
	p.do(t, chromedp.Navigate(b.url+"/console/poisoned?filter=chat:1"), chromedp.WaitVisible(chromedp.CSS(`.empty`)))
	p.look(t, "nothing-found")
	p.requireQuiet(t, b.url)
}

// editInABrowser shows a message and mends it.
func (b *bundle) editInABrowser(t *testing.T, p *tab, id int64) {
	t.Helper()
	p.do(t, chromedp.Navigate(b.url+"/console/poisoned/"+strconv.FormatInt(id, 10)), chromedp.WaitVisible(chromedp.CSS(`h1`)))
	require.NotContains(t, ask(t, p, chromedp.Text(chromedp.CSS(`main`))), "Hello")
	p.do(t, chromedp.Click(chromedp.CSS(`form[action$=body] button`)), chromedp.WaitVisible(chromedp.CSS(`#body`)))
	p.look(t, "message")
	draft := ask(t, p, chromedp.Value(chromedp.CSS(`#body`)))
	p.do(t,
		chromedp.SetValue(chromedp.CSS(`#body`), strings.Replace(draft, `"chat_id"`, `"sender_id":1,"chat_id"`, 1)),
		chromedp.Click(chromedp.CSS(`form[action$=edit] button`)),
		chromedp.WaitVisible(chromedp.CSS(`dl .tag.good`)),
	)
	require.Contains(t, ask(t, p, chromedp.Text(chromedp.CSS(`main`))), "would pass validation")
}

// watchJobInABrowser does a job's work in two steps, and sees the page follow.
func (b *bundle) watchJobInABrowser(t *testing.T, p *tab) {
	t.Helper()
	location := ask(t, p, chromedp.Location())
	id, err := strconv.ParseInt(location[strings.LastIndex(location, "/")+1:], 10, 64)
	require.NoError(t, err)
	work := func(n int) {
		job, err := b.db.Job(t.Context(), id)
		require.NoError(t, err)
		claimed, _, err := b.db.ClaimReplay(t.Context(), job, n)
		require.NoError(t, err)
		var done []int64
		for _, m := range claimed {
			done = append(done, m.ID)
		}
		require.NoError(t, b.db.SettleReplay(t.Context(), id, done, nil))
	}
	work(25)
	p.do(t, chromedp.WaitVisible(chromedp.CSS(`progress[value="25"]`)))
	p.look(t, "job")
	work(35)
	require.NoError(t, b.db.FinishJob(t.Context(), id, ""))
	p.do(t, chromedp.WaitVisible(chromedp.CSS(`h1 .tag.good`)))
	m, err := b.db.ListPoisoned(t.Context(), queries.PoisonFilter{States: []queries.PoisonState{queries.PoisonReplayed}}, 0)
	require.NoError(t, err)
	require.Len(t, m.Entries, 50)
}
