package main // what is tested here is the program itself, which nothing can import

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/bench/report"
)

func TestInTurn(t *testing.T) {
	t.Parallel()
	all := []variant{{entrant: entrant{name: "A"}}, {entrant: entrant{name: "B"}}, {entrant: entrant{name: "C"}}}
	order := func(round int) (text string) {
		for _, v := range inTurn(all, round) {
			text += v.entrant.name
		}
		return text
	}
	require.Equal(t, []string{"ABC", "BCA", "CAB", "ABC"}, []string{order(0), order(1), order(2), order(3)})
	require.Equal(t, "A", all[0].entrant.name, "the list itself stays as it is")
}

func TestReportIsInTheOrderOfTheContests(t *testing.T) {
	t.Parallel()
	s, err := parseSettings([]string{"-only", "drain,chats"}, io.Discard)
	require.NoError(t, err)
	contests := s.chosen(s.contests("", ""))
	b := &bench{settings: s}
	for _, c := range contests {
		for round := range 2 {
			for _, v := range inTurn(c.variants, round+1) {
				b.samples = append(b.samples, report.Sample{Line: v.Line, Round: round, Messages: 1, Seconds: 1})
			}
		}
	}
	r := b.report(contests)
	var variants, bars []string
	for _, row := range r.Rows {
		require.Equal(t, 2, row.Rounds)
		variants = append(variants, row.Queue+" "+row.Variant)
	}
	require.Equal(t, []string{
		"quorum A bare relay", "quorum B stock Watermill", "quorum C ours",
		"classic A bare relay", "classic B stock Watermill", "classic C ours",
		"quorum C 10,000 chats", "quorum C 10 chats", "quorum C one chat",
	}, variants)
	for _, v := range r.Verdicts {
		bars = append(bars, v.Name)
	}
	require.Equal(t, []string{
		"relay-quorum", "stock-quorum", "cpu-quorum", "relay-classic", "stock-classic", "cpu-classic", "ten-chats", "hot-chat",
	}, bars)
}

func TestUsageSince(t *testing.T) {
	t.Parallel()
	before := usage{contender: time.Second, postgres: 2 * time.Second, rabbitmq: 3 * time.Second, allocated: allocated{10, 1000}}
	after := usage{contender: 3 * time.Second, postgres: 2 * time.Second, rabbitmq: 3500 * time.Millisecond, allocated: allocated{300_010, 5_001_000}}
	cpu, allocations := after.since(before, 100_000)
	require.Equal(t, report.CPU{Contender: 20, Postgres: 0, RabbitMQ: 5}, cpu)
	require.Equal(t, report.Allocations{Count: 3, Bytes: 50}, allocations)
}

func TestFetchAllocated(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector())
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	t.Cleanup(server.Close)
	first, err := fetchAllocated(t.Context(), server.URL)
	require.NoError(t, err)
	require.Positive(t, first.objects)
	second, err := fetchAllocated(t.Context(), server.URL)
	require.NoError(t, err)
	require.Greater(t, second.objects, first.objects)
	require.Greater(t, second.bytes, first.bytes)

	_, err = parseAllocated(strings.NewReader("# TYPE x counter\nx 1\n"))
	require.ErrorContains(t, err, "not among them")
	_, err = parseAllocated(strings.NewReader("go_memstats_mallocs_total many\n"))
	require.ErrorContains(t, err, "go_memstats_mallocs_total")
	none := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(none.Close)
	_, err = fetchAllocated(t.Context(), none.URL)
	require.ErrorContains(t, err, "404")
}

func TestCheck(t *testing.T) {
	t.Parallel()
	verdict := func(name string, limit float64, pass bool) report.Verdict {
		return report.Verdict{Comparison: report.Comparison{Name: name, Limit: limit}, Pass: pass}
	}
	require.NoError(t, check(report.Report{Verdicts: []report.Verdict{verdict("a", 1, true), verdict("b", 0, true)}}))
	err := check(report.Report{Verdicts: []report.Verdict{verdict("a", 1, false), verdict("b", 1, true), verdict("c", 1, false)}})
	require.EqualError(t, err, "checking: missed a, c")
	require.ErrorContains(t, check(report.Report{Verdicts: []report.Verdict{verdict("b", 0, true)}}), "nothing was measured")
}

func TestWriteFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out")
	require.NoError(t, writeFile(path, func(w io.Writer) error { _, err := io.WriteString(w, "text"); return err }))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "text", string(text))
	require.ErrorContains(t, writeFile(path+"/under", nil), "writing the report")
	require.NoError(t, writeFile("", nil), "no name, no file")
	require.ErrorIs(t, writeFile(path, func(io.Writer) error { return io.ErrShortWrite }), io.ErrShortWrite)
}

func TestRun(t *testing.T) {
	t.Parallel()
	t.Run("exits 2 for a wrong flag, and says which", func(t *testing.T) {
		t.Parallel()
		var said bytes.Buffer
		require.Equal(t, exitUsage, run(t.Context(), []string{"-rounds", "0"}, io.Discard, &said))
		require.Contains(t, said.String(), "-rounds is 0")
	})
	t.Run("exits 0 for help", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, exitOK, run(t.Context(), []string{"-help"}, io.Discard, io.Discard))
	})
	t.Run("exits 1 where a child has no setup or no name that is known", func(t *testing.T) {
		t.Parallel()
		var said bytes.Buffer
		require.Equal(t, exitFailed, runChild(t.Context(), "relay", "", &said))
		require.Equal(t, exitFailed, runChild(t.Context(), "other", "{}", &said))
		require.Contains(t, said.String(), "there are relay, stock")
	})
	t.Run("tells a child from the program", func(t *testing.T) {
		t.Parallel()
		name, ok := asChild([]string{"child", "stock"})
		require.True(t, ok)
		require.Equal(t, "stock", name)
		_, ok = asChild([]string{"-check"})
		require.False(t, ok)
	})
}
