package http_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

func TestDocsInABrowser(t *testing.T) {
	t.Parallel()
	b := start(t)
	chat := chatOf(t, b, 1, 2)
	b.fill(t, chat, 3)
	browser := browse(t)
	for _, c := range []struct{ name, path, prefix string }{
		{"bare", "/docs", ""},
		{"behind the proxy, with a slash", "/messaging/docs/", "/messaging"},
	} {
		t.Run(c.name, func(t *testing.T) { // one after the other: they share a browser
			p := openTab(t, browser)
			p.do(t, chromedp.Navigate(b.url+c.path), chromedp.WaitVisible(chromedp.CSS(`.opblock-summary`)))
			requireOperations(t, p)
			p.screenshot(t, "operations")

			p.do(t, authorize(token(t, 1)), tryGetMessages(chat))
			p.screenshot(t, "tried")
			require.Equal(t, "200", answerOf(t, p, `.response-col_status`))
			body := answerOf(t, p, `.response-col_description`)
			require.Contains(t, body, `"message 3"`)
			require.Contains(t, body, `"message 2"`)
			require.NotContains(t, body, `"message 1"`)
			p.requireRequested(t, "GET "+b.url+c.prefix+"/messages/get-messages?chat_id="+chat+"&after=1")
			p.requireQuiet(t, b.url)
		})
	}
}

// requireOperations fails unless the page shows exactly the document's operations.
func requireOperations(t *testing.T, p *tab) {
	t.Helper()
	shown := ask(t, p, chromedp.Evaluate[[]string](`[...document.querySelectorAll(".opblock-summary")].map(
		(e) => e.querySelector(".opblock-summary-method").textContent + " " + e.querySelector("[data-path]").dataset.path)`))
	var want []string
	doc, _ := document(t)
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			want = append(want, method+" "+path)
		}
	}
	require.ElementsMatch(t, want, shown)
}

// tried is the operation that the test tries.
const tried = `#operations-messages-get_messages `

func answerOf(t *testing.T, p *tab, part string) string {
	t.Helper()
	return strings.TrimSpace(ask(t, p, chromedp.Text(chromedp.CSS(tried+`.live-responses-table .response `+part))))
}

// tryGetMessages asks for the messages after the first one.
func tryGetMessages(chat string) chromedp.Action[chromedp.Void] {
	const (
		chatID = chromedp.CSS(tried + `[data-param-name="chat_id"] input`)
		after  = chromedp.CSS(tried + `[data-param-name="after"] input`)
	)
	return chromedp.Steps(
		chromedp.Click(chromedp.CSS(tried+`.opblock-summary-control`)),
		chromedp.WaitVisible(chromedp.CSS(tried+`.try-out__btn`)),
		chromedp.Click(chromedp.CSS(tried+`.try-out__btn`)),
		chromedp.WaitEnabled(chatID),
		chromedp.SendKeys(chatID, chat),
		chromedp.SendKeys(after, "1"),
		chromedp.Click(chromedp.CSS(tried+`.execute`)),
		chromedp.WaitVisible(chromedp.CSS(tried+`.live-responses-table .response .response-col_status`)),
	)
}

// authorize gives the page a token for all calls that follow.
func authorize(token string) chromedp.Action[chromedp.Void] {
	const dialog = `.dialog-ux `
	return chromedp.Steps(
		chromedp.Click(chromedp.CSS(`.auth-wrapper .authorize`)),
		chromedp.WaitVisible(chromedp.CSS(dialog+`input`)),
		chromedp.SendKeys(chromedp.CSS(dialog+`input`), token),
		chromedp.Click(chromedp.CSS(dialog+`.auth-btn-wrapper .authorize`)),
		chromedp.WaitVisible(chromedp.CSS(dialog+`.auth-btn-wrapper [aria-label="Remove authorization"]`)),
		chromedp.Click(chromedp.CSS(dialog+`.btn-done`)),
		chromedp.WaitNotPresent(chromedp.CSS(dialog)),
	)
}

func TestEventsPageInABrowser(t *testing.T) {
	t.Parallel()
	b := start(t)
	p := openTab(t, browse(t))
	p.do(t, chromedp.Navigate(b.url+"/messaging/docs/events"))
	require.Equal(t, "chat-messaging: events on RabbitMQ", ask(t, p, chromedp.Text(chromedp.CSS(`h1`))))
	p.screenshot(t, "events")
	p.requireQuiet(t, b.url)
}
