package pipeline_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// link is a line to the broker that a test can disturb.
type link struct {
	t     testing.TB
	proxy *toxiproxy.Proxy
	url   string
}

func newLink(t testing.TB, broker string) *link {
	t.Helper()
	u, err := url.Parse(broker)
	require.NoError(t, err)
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	l := &link{t: t, proxy: toxiproxy.NewProxy(server, "broker", "127.0.0.1:0", u.Host)}
	require.NoError(t, l.proxy.Start())
	t.Cleanup(l.proxy.Stop)
	u.Host = l.proxy.Listen
	l.url = u.String()
	return l
}

// cut ends every connection and accepts no new one.
func (l *link) cut() { l.proxy.Stop() }

// restore ends a cut.
func (l *link) restore() {
	l.t.Helper()
	require.NoError(l.t, l.proxy.Start())
}

// kill ends every connection; new ones are accepted at once.
func (l *link) kill() {
	l.t.Helper()
	l.cut()
	l.restore()
}

// swallow lets the line accept everything and deliver nothing, in one direction
// ("upstream" is towards the broker) or in both.
func (l *link) swallow(directions ...string) {
	l.t.Helper()
	if len(directions) == 0 {
		directions = []string{"upstream", "downstream"}
	}
	for _, direction := range directions {
		_, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(
			`{"name":"` + direction + `","type":"timeout","stream":"` + direction + `","attributes":{"timeout":0}}`))
		require.NoError(l.t, err)
	}
}

// heal ends what swallow began. The connections of that time end too.
func (l *link) heal() {
	l.t.Helper()
	l.proxy.Toxics.ResetToxics(context.Background())
}

// slow delays what comes from the broker.
func (l *link) slow(by time.Duration) {
	l.t.Helper()
	_, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(
		`{"name":"slow","type":"latency","stream":"downstream","attributes":{"latency":%d}}`, by.Milliseconds())))
	require.NoError(l.t, err)
}
