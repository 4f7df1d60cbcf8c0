package report_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/bench/report"
)

func TestNewSpread(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		values []float64
		want   report.Spread
	}{
		{"of nothing is zero", nil, report.Spread{}},
		{"of one is that one", []float64{3}, report.Spread{Median: 3, Min: 3, Max: 3}},
		{"of an odd number has the middle one", []float64{9, 1, 2}, report.Spread{Median: 2, Min: 1, Max: 9}},
		{"of an even number has the mean of two", []float64{4, 1, 2, 9}, report.Spread{Median: 3, Min: 1, Max: 9}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, report.NewSpread(tc.values))
		})
	}
	t.Run("leaves the values in their order", func(t *testing.T) {
		t.Parallel()
		values := []float64{3, 1, 2}
		report.NewSpread(values)
		require.Equal(t, []float64{3, 1, 2}, values)
	})
}

func TestNewLatency(t *testing.T) {
	t.Parallel()
	ms := func(values ...int) (times []time.Duration) {
		for _, v := range values {
			times = append(times, time.Duration(v)*time.Millisecond)
		}
		return times
	}
	thousand := make([]int, 1000)
	for i := range thousand {
		thousand[i] = 1000 - i
	}
	for _, tc := range []struct {
		name  string
		times []time.Duration
		want  report.Latency
	}{
		{"of nothing is zero", nil, report.Latency{}},
		{"of one is that one", ms(7), report.Latency{P50: 7, P99: 7, P999: 7, Max: 7}},
		{"of two has the lower one in the middle", ms(9, 3), report.Latency{P50: 3, P99: 9, P999: 9, Max: 9}},
		{"of many counts from the least", ms(thousand...), report.Latency{P50: 500, P99: 990, P999: 999, Max: 1000}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, report.NewLatency(tc.times))
		})
	}
}

func line(variant string) report.Line {
	return report.Line{Workload: "drain", Queue: "quorum", Variant: variant}
}

// sample is a round of 100 messages in the given time.
func sample(variant string, round int, seconds float64) report.Sample {
	return report.Sample{
		Line: line(variant), Round: round, Messages: 100, Seconds: seconds,
		CPU: report.CPU{Contender: 10 * seconds, Postgres: 2, RabbitMQ: 450}, PeakRSS: int64(round) << 20,
	}
}

func ratio(name, of, to string, least float64) report.Comparison {
	base := line(to)
	return report.Comparison{Name: name, Metric: report.Rate, Of: line(of), To: &base, Limit: least}
}

func TestNew(t *testing.T) {
	t.Parallel()
	samples := []report.Sample{
		sample("A", 1, 1), sample("C", 1, 2), sample("B", 1, 4),
		// The machine was twice as slow during this round: the ratios are the same.
		sample("B", 2, 8), sample("C", 2, 4), sample("A", 2, 2),
		sample("A", 3, 1), sample("C", 3, 2.5),
	}
	r := report.New(report.Machine{}, nil, samples, []report.Comparison{
		ratio("relay", "C", "A", 0.5),
		ratio("stock", "C", "B", 3),
		ratio("other", "C", "D", 3),
		ratio("shown", "A", "C", 0),
	})

	t.Run("sums each line up", func(t *testing.T) {
		t.Parallel()
		require.Len(t, r.Rows, 3)
		require.Equal(t, report.Row{
			Line: line("C"), Rounds: 3,
			Rate:    report.Spread{Median: 40, Min: 25, Max: 50},
			CPU:     report.CPU{Contender: 25, Postgres: 2, RabbitMQ: 450},
			PeakRSS: report.Spread{Median: 2 << 20, Min: 1 << 20, Max: 3 << 20},
		}, r.Rows[1])
	})
	t.Run("compares round by round, only what ran in both", func(t *testing.T) {
		t.Parallel()
		require.Len(t, r.Verdicts, 3, "there is no D")
		require.Equal(t, report.Spread{Median: 0.5, Min: 0.4, Max: 0.5}, r.Verdicts[0].Value)
		require.True(t, r.Verdicts[0].Pass)
		require.Equal(t, report.Spread{Median: 2, Min: 2, Max: 2}, r.Verdicts[1].Value)
		require.False(t, r.Verdicts[1].Pass)
		require.True(t, r.Verdicts[2].Pass, "it has no limit")
	})
	t.Run("names the bars that were missed", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, []string{"stock"}, r.Missed())
		require.True(t, r.Judged())
		shown := report.New(report.Machine{}, nil, samples, []report.Comparison{ratio("shown", "A", "C", 0)})
		require.Empty(t, shown.Missed())
		require.False(t, shown.Judged())
	})
}

func TestComparisonMetrics(t *testing.T) {
	t.Parallel()
	a, c := sample("A", 1, 1), sample("C", 1, 2)
	a.Latency, c.Latency = report.Latency{P99: 2}, report.Latency{P99: 8}
	a.PeakRSS, c.PeakRSS = 16<<20, 64<<20
	base := line("A")
	for _, tc := range []struct {
		metric   report.Metric
		to       *report.Line
		limit    float64
		atMost   bool
		value    float64
		pass     bool
		describe string
	}{
		{report.Rate, &base, 0.5, false, 0.5, true, "a rate that reaches its least"},
		{report.Rate, &base, 0.5, true, 0.5, true, "a rate that reaches its most"},
		{report.LatencyP99, &base, 3, true, 4, false, "a latency above its most"},
		{report.CPUTime, nil, 20, true, 20, true, "a cost of its own"},
		{report.Memory, nil, 63, true, 64, false, "memory in MiB"},
		{report.Memory, &base, 4, true, 4, true, "memory beside other"},
	} {
		t.Run(tc.describe, func(t *testing.T) {
			t.Parallel()
			r := report.New(report.Machine{}, nil, []report.Sample{a, c}, []report.Comparison{
				{Name: "bar", Metric: tc.metric, Of: line("C"), To: tc.to, Limit: tc.limit, AtMost: tc.atMost},
			})
			require.InDelta(t, tc.value, r.Verdicts[0].Value.Median, 1e-9)
			require.Equal(t, tc.pass, r.Verdicts[0].Pass)
		})
	}
	t.Run("nothing is divided by what was not measured", func(t *testing.T) {
		t.Parallel()
		still := report.Sample{Line: line("A"), Round: 1}
		r := report.New(report.Machine{}, nil, []report.Sample{still, c}, []report.Comparison{ratio("bar", "C", "A", 1)})
		require.Empty(t, r.Verdicts)
	})
}

// everything is a report with a line of each kind.
func everything() report.Report {
	machine := report.Machine{
		Processors: 2, Processor: "Some <CPU> & more", Go: "go1.26", Postgres: "15.1", Durability: "fsync on", RabbitMQ: "3.10",
	}
	steady, resting := sample("C 5/s", 1, 20), report.Sample{Line: line("C at rest"), Round: 1, PeakRSS: 20 << 20}
	steady.Latency = report.Latency{P50: 0.5, P99: 12.25, P999: 130}
	steady.Allocations = report.Allocations{Count: 42, Bytes: 4200}
	return report.New(machine, map[string]int{"rounds": 1},
		[]report.Sample{sample("A", 1, 0.002), sample("C", 1, 0.01), sample("C", 2, 0.02), steady, resting},
		[]report.Comparison{
			ratio("relay", "C", "A", 0.5), ratio("turned", "A", "C", 0.5), ratio("shown", "A", "A", 0),
			{Name: "memory", Metric: report.Memory, Of: line("C at rest"), Limit: 64, AtMost: true},
		})
}

func TestWriteTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, everything().WriteTable(&out))
	require.Equal(t, `Some <CPU> & more × 2, PostgreSQL 15.1 (fsync on), RabbitMQ 3.10, go1.26

workload   queue    variant     msg/s    min–max         p50 ms   p99    p99.9   CPU µs/msg: contender   postgres   rabbitmq   allocs/msg   peak RSS
drain      quorum   A           50,000   50,000–50,000   –        –      –       0.0                     2.0        450        –            1 MiB
drain      quorum   C           7,500    5,000–10,000    –        –      –       0.2                     2.0        450        –            2 MiB
drain      quorum   C 5/s       5        5–5             0.50     12.2   130     200                     2.0        450        42.0         1 MiB
drain      quorum   C at rest   –        –               –        –      –       –                       –          –          –            20 MiB

bar      workload   queue    what                   median   min–max       bar at   verdict
relay    drain      quorum   msg/s of C / A         0.20     0.20–0.20     ≥ 0.5    FAIL
turned   drain      quorum   msg/s of A / C         5.00     5.00–5.00     ≥ 0.5    pass
shown    drain      quorum   msg/s of A / A         1.00     1.00–1.00     –        –
memory   drain      quorum   RSS MiB of C at rest   20.00    20.00–20.00   ≤ 64     pass
`, out.String())
}

func TestWriteJSON(t *testing.T) {
	t.Parallel()
	r := everything()
	var out bytes.Buffer
	require.NoError(t, r.WriteJSON(&out))
	var back struct {
		Settings map[string]int   `json:"settings"`
		Rows     []report.Row     `json:"rows"`
		Verdicts []report.Verdict `json:"verdicts"`
		Samples  []report.Sample  `json:"samples"`
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &back))
	require.Equal(t, map[string]int{"rounds": 1}, back.Settings)
	require.Equal(t, r.Rows, back.Rows)
	require.Equal(t, r.Verdicts, back.Verdicts)
	require.Equal(t, r.Samples, back.Samples)

	out.Reset()
	require.NoError(t, report.New(report.Machine{}, nil, nil, nil).WriteJSON(&out))
	require.NotContains(t, out.String(), `"verdicts": null`, "a list, for whoever reads it")
}
