package main

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

// connectionLine is a line to a server that a test can disturb.
type connectionLine struct {
	t     testing.TB
	proxy *toxiproxy.Proxy
	url   string
}

func newLine(t testing.TB, address string) *connectionLine {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	l := &connectionLine{t: t, proxy: toxiproxy.NewProxy(server, strings.ToLower(u.Scheme), "127.0.0.1:0", u.Host)}
	require.NoError(t, l.proxy.Start())
	t.Cleanup(l.proxy.Stop)
	u.Host = l.proxy.Listen
	l.url = u.String()
	return l
}

// cut ends every connection and accepts no new one.
func (l *connectionLine) cut() { l.proxy.Stop() }

// restore ends a cut.
func (l *connectionLine) restore() {
	l.t.Helper()
	require.NoError(l.t, l.proxy.Start())
}

// redirect makes the line lead to another server, as a name does that is given
// to a replica. Connections of before end.
func (l *connectionLine) redirect(address string) {
	l.t.Helper()
	u, err := url.Parse(address)
	require.NoError(l.t, err)
	l.cut()
	l.proxy.Upstream = u.Host
	l.restore()
}

// swallow lets the line accept everything and deliver nothing, in one direction
// ("upstream" is towards the server) or in both: who waits for an answer hears
// neither it nor of an error.
func (l *connectionLine) swallow(directions ...string) {
	l.t.Helper()
	if len(directions) == 0 {
		directions = []string{"upstream", "downstream"}
	}
	for _, direction := range directions {
		l.toxic(direction, "timeout", `"timeout":0`)
	}
}

// slow delays what passes in each direction, by a time that varies.
func (l *connectionLine) slow(by, jitter time.Duration) {
	l.t.Helper()
	for _, direction := range []string{"upstream", "downstream"} {
		l.toxic(direction, "latency", fmt.Sprintf(`"latency":%d,"jitter":%d`, by.Milliseconds(), jitter.Milliseconds()))
	}
}

// heal ends what swallow and slow began. What was swallowed stays lost, and its
// connections end with it.
func (l *connectionLine) heal() {
	l.t.Helper()
	l.proxy.Toxics.ResetToxics(context.Background())
}

func (l *connectionLine) toxic(direction, kind, attributes string) {
	l.t.Helper()
	_, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(
		`{"name":"%s of %s","type":"%s","stream":"%s","attributes":{%s}}`, kind, direction, kind, direction, attributes)))
	require.NoError(l.t, err)
}
