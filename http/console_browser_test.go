package http_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	rest "chat-messaging/http"
	"chat-messaging/queries"
)

func TestConsoleInABrowser(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	b := start(t, operated, func(c *rest.Config) {
		c.Settings = []rest.Setting{{Name: "PREFETCH", Value: "2000"}, {Name: "KEY", Value: "xxxxx"}, {Name: "POLICY_FILE"}}
		c.Versions = []rest.Setting{{Name: "chat-messaging", Value: "v1.2.3"}}
		c.Ready = []rest.Check{{Name: "database", Run: func(context.Context) error { return nil }}}
		queues := c.Queues
		c.Queues = func(ctx context.Context) (rest.Queue, rest.Queue, error) {
			if broken.Load() {
				return rest.Queue{}, rest.Queue{}, errors.New("connection refused")
			}
			return queues(ctx)
		}
	})
	b.beat(t)
	p := openTab(t, browse(t))
	p.do(t, chromedp.Navigate(b.url+"/console/settings"), chromedp.WaitVisible(chromedp.CSS(`#secret`)))
	p.look(t, "login")
	p.login(t, operatorSecret)
	require.Equal(t, b.url+"/console/settings", ask(t, p, chromedp.Location()))
	p.look(t, "settings")

	p.do(t, chromedp.Navigate(b.url+"/console/"), chromedp.WaitVisible(chromedp.CSS(`.health.good`)))
	p.look(t, "overview")
	p.do(t,
		chromedp.SendKeys(chromedp.CSS(`#pause-reason`), "a test\r"),
		chromedp.WaitVisible(chromedp.CSS(`.health.warn`)),
		chromedp.WaitVisible(chromedp.CSS(`.when-paused`)),
		chromedp.WaitNotVisible(chromedp.CSS(`.when-running`)),
	)
	require.Contains(t, ask(t, p, chromedp.Text(chromedp.CSS(`.health`))), "consumption is paused by otto: a test")
	p.look(t, "overview-paused")
	p.do(t, chromedp.Click(chromedp.CSS(`.when-paused button`)), chromedp.WaitVisible(chromedp.CSS(`.health.good`)))
	broken.Store(true)
	p.do(t, chromedp.WaitVisible(chromedp.CSS(`.health.bad`))) // by itself
	require.Contains(t, ask(t, p, chromedp.Text(chromedp.CSS(`.health`))), "connection refused")
	p.look(t, "overview-bad")

	p.do(t, chromedp.Navigate(b.url+"/console/audit"), chromedp.WaitVisible(chromedp.CSS(`tbody tr`)))
	require.Contains(t, ask(t, p, chromedp.Text(chromedp.CSS(`tbody`))), "otto")
	p.look(t, "audit")
	p.do(t, chromedp.Navigate(b.url+"/console/audit?who=nobody"), chromedp.WaitVisible(chromedp.CSS(`.empty`)))
	p.look(t, "audit-empty")
	p.do(t, chromedp.Click(chromedp.CSS(`.who button`)), chromedp.WaitVisible(chromedp.CSS(`#secret`)))
	p.requireQuiet(t, b.url)
}

func TestConsoleRefusesAndGoesOnInABrowser(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	b.beat(t)
	p := openTab(t, browse(t))
	p.do(t, chromedp.Navigate(b.url+"/console/"))
	p.login(t, operatorSecret)
	p.do(t,
		chromedp.Evaluate[chromedp.Void](`document.querySelector(".when-running [name=form_token]").value = "forged"`),
		chromedp.SendKeys(chromedp.CSS(`#pause-reason`), "a forgery\r"),
		chromedp.WaitVisible(chromedp.CSS(`.status-number`)),
	)
	require.Equal(t, "Not from this console", ask(t, p, chromedp.Text(chromedp.CSS(`h1`))))
	p.look(t, "error")
	consumption, err := b.db.Consumption(t.Context(), "q")
	require.NoError(t, err)
	require.False(t, consumption.Paused)

	p.do(t, chromedp.Navigate(b.url+"/console/"), chromedp.WaitVisible(chromedp.CSS(`.health.good`)))
	p.do(t, chromedp.Evaluate[chromedp.Void](`new Promise((done) => {
		document.addEventListener("htmx:sse:after:message", () => done(), {once: true}); })`, chromedp.EvalAwaitPromise))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, b.server.Shutdown(ctx))
	p.do(t, chromedp.WaitVisible(chromedp.CSS(`#stale`)))
	p.look(t, "stale")
}

// beat is an instance that works, until the test ends.
func (b *bundle) beat(t *testing.T) {
	t.Helper()
	id := uuid.New()
	report := queries.Report{
		Host: "chat-1", PID: 17, Version: "v1.2.3", Consumer: "consuming", Relay: queries.RelayLeading, InHand: 12, Window: 2000,
	}
	// The first is written before anything looks: an overview that is asked for
	// earlier says, rightly, that no instance has been heard of.
	require.NoError(t, b.db.Heartbeat(t.Context(), id, report))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(500 * time.Millisecond)
		defer ticker.Stop()
		for n := int64(1); ctx.Err() == nil; n++ {
			report.Totals.Accepted += 400 + 40*(n%7)
			report.Totals.Rejected += n % 5
			report.Totals.Dispatched += 404 + 40*(n%7)
			report.Totals.Batches += 10
			report.Totals.BatchMessages += 400
			_ = b.db.Heartbeat(ctx, id, report)
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
}

// login fills the log-in page, and waits for what follows.
func (p *tab) login(t *testing.T, secret string) {
	t.Helper()
	p.do(t,
		chromedp.WaitVisible(chromedp.CSS(`#secret`)),
		chromedp.SendKeys(chromedp.CSS(`#secret`), secret+"\r"),
		chromedp.WaitVisible(chromedp.CSS(`.who`)),
	)
}

// look requires the page to be accessible and to fit, at both widths, light and
// dark. Who wants pictures gets all four; else each width and each scheme once.
func (p *tab) look(t *testing.T, name string) {
	t.Helper()
	for _, width := range []int64{375, 1440} {
		for _, scheme := range []string{"light", "dark"} {
			if (width == 375) != (scheme == "light") && os.Getenv("SCREENSHOTS") == "" {
				continue
			}
			p.do(t, func(ctx context.Context, _ *chromedp.Target) (nothing chromedp.Void, err error) {
				if _, err = chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
					Width: width, Height: 900, DeviceScaleFactor: 1,
				}); err != nil {
					return nothing, err
				}
				_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
				})
				return nothing, err
			})
			require.Empty(t, ask(t, p, chromedp.Evaluate[[]string](overflowing)), "%s at %d px is wider than the window", name, width)
			require.Empty(t, p.barriers(t), "%s at %d px, %s, is not accessible", name, width, scheme)
			p.screenshot(t, name+"-"+strconv.FormatInt(width, 10)+"-"+scheme)
		}
	}
}

// overflowing names what makes the page scroll sideways.
const overflowing = `document.documentElement.scrollWidth <= innerWidth ? [] :
	[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, pre"))
		.map((e) => e.tagName + "." + e.className)`

// barriers are the serious findings of axe.
func (p *tab) barriers(t *testing.T) []string {
	t.Helper()
	if !ask(t, p, chromedp.Evaluate[bool](`typeof axe === "object"`)) {
		p.do(t, chromedp.Evaluate[chromedp.Void](axe(t)))
	}
	return ask(t, p, chromedp.Evaluate[[]string](`axe.run(document, {resultTypes: ["violations"]}).then((found) => found.violations
		.filter((v) => v.impact === "serious" || v.impact === "critical")
		.flatMap((v) => v.nodes.map((n) => v.id + ": " + n.html + " " + n.failureSummary)))`, chromedp.EvalAwaitPromise))
}

// axe is the accessibility checker's script.
func axe(t *testing.T) string {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join("testdata", "axe", "axe.min.js.gz"))
	require.NoError(t, err)
	unpacker, err := gzip.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	script, err := io.ReadAll(unpacker)
	require.NoError(t, err)
	return string(script)
}
