package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestColoursAreForTerminalsThatWantThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		environ []string
		want    bool
	}{
		"by default":            {nil, true},
		"NO_COLOR":              {[]string{"NO_COLOR=1"}, false},
		"an empty NO_COLOR":     {[]string{"NO_COLOR="}, true},
		"a terminal without":    {[]string{"TERM=dumb"}, false},
		"a terminal with":       {[]string{"TERM=xterm-256color"}, true},
		"another name that has": {[]string{"NO_COLORS=1"}, true},
	} {
		require.Equal(t, c.want, wantsColors(c.environ), name)
	}
	require.False(t, newScreen(&bytes.Buffer{}, nil).colors, "not a terminal")
	require.Equal(t, "x", screen{}.paint(red, "x"))
	require.Equal(t, "\x1b[31mx\x1b[0m", screen{colors: true}.paint(red, "x"))
}

func TestRedrawingLeavesNothingOfWhatWasThere(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, screen{Writer: &out, terminal: true}.redraw([]byte("a\nb\n")))
	require.Equal(t, "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J", out.String())
}

func TestDocumentsKeepNamesAndOrder(t *testing.T) {
	t.Parallel()
	value := struct {
		B string            `json:"b"`
		A []int             `json:"a"`
		N *int              `json:"n"`
		E []int             `json:"e"`
		M map[string]string `json:"m"`
	}{"yes: no", []int{1, 2}, nil, []int{}, map[string]string{"k": "12"}}
	var asJSON, asYAML bytes.Buffer
	require.NoError(t, writeDocument(&asJSON, formJSON, value))
	require.JSONEq(t, `{"b":"yes: no","a":[1,2],"n":null,"e":[],"m":{"k":"12"}}`, asJSON.String())
	require.NoError(t, writeDocument(&asYAML, formYAML, value))
	require.Equal(t, "b: 'yes: no'\na:\n  - 1\n  - 2\nn: null\ne: []\nm:\n  k: \"12\"\n", asYAML.String())
}

func TestForeignTextDoesNotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a [31m b c é", oneLine("a\x1b[31m\nb\u202ec é"))
}

func TestDurationsAreBrief(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[float64]string{
		-1: "0s", 0.4: "0s", 12.3: "12s", 90: "1m30s", 600: "10m", 3600: "1h", 5430: "1h31m", 200_000: "2d",
	} {
		require.Equal(t, want, brief(seconds))
	}
}
