package http_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// browse starts a headless Chromium, which can reach this machine and nothing
// else. The context is its first tab.
func browse(t *testing.T) context.Context {
	t.Helper()
	chromium := findChromium(t)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(1280, 1600),
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's refuses to work for root
	}
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	browser, _ := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(browser, 30*time.Second)
		defer cancel()
		_ = chromedp.Cancel(ctx)
		cancelAllocator()
	})
	require.NoError(t, chromedp.Do(browser), "starting %s", chromium)
	return browser
}

func findChromium(t *testing.T) string {
	t.Helper()
	for _, path := range []string{os.Getenv("CHROMIUM"), "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"} {
		if _, err := os.Stat(path); path != "" && err == nil {
			return path
		}
	}
	t.Fatal("there is no Chromium to look at the pages with: `make test` installs Debian's package " +
		"(apt-get install chromium); the environment variable CHROMIUM names another one")
	return ""
}

// tab is one page, with all that it asked for and complained of.
type tab struct {
	ctx context.Context

	mu       sync.Mutex
	requests []string
	// faults are what a developer would see in the console in red or yellow.
	faults []string
}

func openTab(t *testing.T, browser context.Context) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	p := &tab{ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, p.note))
	_, err := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	require.NoError(t, err)
	_, err = chromedp.Call(ctx, log.Enable, cdp.Empty{})
	require.NoError(t, err)
	return p
}

func (p *tab) note(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fault := func(format string, args ...any) { p.faults = append(p.faults, fmt.Sprintf(format, args...)) }
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, e.Request.Method+" "+e.Request.URL)
	case *network.EventLoadingFailed:
		fault("loading failed: %s", e.ErrorText)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			fault("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		switch e.Type {
		case runtime.ConsoleAPICalledTypeError, runtime.ConsoleAPICalledTypeWarning, runtime.ConsoleAPICalledTypeAssert:
			for _, arg := range e.Args {
				fault("console.%s: %s %s", e.Type, arg.Value, arg.Description)
			}
		}
	case *runtime.EventExceptionThrown:
		fault("exception: %s", e.ExceptionDetails.Text)
	}
}

// do acts, with a deadline for all of it.
func (p *tab) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 2*time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.screenshot(t, "failed")
		p.mu.Lock()
		defer p.mu.Unlock()
		require.NoError(t, err, "faults: %v\nrequests: %v", p.faults, p.requests)
	}
}

// ask acts and returns what the page answers.
func ask[T any](t *testing.T, p *tab, action chromedp.Action[T]) T {
	t.Helper()
	var answer T
	p.do(t, func(ctx context.Context, target *chromedp.Target) (nothing chromedp.Void, err error) {
		answer, err = action(ctx, target)
		return nothing, err
	})
	return answer
}

// screenshot keeps a picture in the folder that SCREENSHOTS names, for whoever
// wants to look.
func (p *tab) screenshot(t *testing.T, name string) {
	t.Helper()
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		return
	}
	picture, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	require.NoError(t, err)
	name = strings.ReplaceAll(t.Name(), "/", "_") + "_" + name + ".png"
	require.NoError(t, os.WriteFile(filepath.Join(folder, name), picture, 0o600))
}

// requireQuiet fails if the page complained of anything, or asked another host.
func (p *tab) requireQuiet(t *testing.T, server string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Empty(t, p.faults)
	require.NotEmpty(t, p.requests)
	for _, request := range p.requests {
		_, address, _ := strings.Cut(request, " ")
		u, err := url.Parse(address)
		require.NoError(t, err)
		require.True(t, u.Scheme == "data" || u.Scheme+"://"+u.Host == server, request)
	}
}

// requireRequested fails unless the page sent a request that begins like this.
func (p *tab) requireRequested(t *testing.T, request string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	sent := slices.ContainsFunc(p.requests, func(r string) bool { return strings.HasPrefix(r, request) })
	require.True(t, sent, "%s is not among %v", request, p.requests)
}
