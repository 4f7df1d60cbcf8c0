package report_test

import (
	"bytes"
	"encoding/json"
	"testing"

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

// sample is a round of 100 messages in the given time.
func sample(queue, contender string, round int, seconds float64) report.Sample {
	return report.Sample{
		Queue: queue, Contender: contender, Round: round, Messages: 100, Seconds: seconds,
		CPU: report.CPU{Contender: 10 * seconds, Postgres: 2, RabbitMQ: 450}, PeakRSS: int64(round) << 20,
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	floors := []report.Floor{
		{Queue: "quorum", Of: "C", To: "A", Least: 0.5},
		{Queue: "quorum", Of: "C", To: "B", Least: 3},
		{Queue: "classic", Of: "C", To: "A", Least: 0.75},
	}
	samples := []report.Sample{
		sample("quorum", "A", 1, 1), sample("quorum", "C", 1, 2), sample("quorum", "B", 1, 4),
		// The machine was twice as slow during this round: the ratios are the same.
		sample("quorum", "B", 2, 8), sample("quorum", "C", 2, 4), sample("quorum", "A", 2, 2),
		sample("quorum", "A", 3, 1), sample("quorum", "C", 3, 2.5),
	}
	r := report.New(report.Machine{}, nil, samples, floors)

	t.Run("sums each contender up", func(t *testing.T) {
		t.Parallel()
		require.Len(t, r.Rows, 3)
		require.Equal(t, report.Row{
			Queue: "quorum", Contender: "C", Rounds: 3,
			Rate:    report.Spread{Median: 40, Min: 25, Max: 50},
			CPU:     report.CPU{Contender: 25, Postgres: 2, RabbitMQ: 450},
			PeakRSS: 3 << 20,
		}, r.Rows[1])
	})
	t.Run("compares round by round, only what ran in both", func(t *testing.T) {
		t.Parallel()
		require.Len(t, r.Ratios, 2, "nothing was measured on classic")
		require.Equal(t, report.Spread{Median: 0.5, Min: 0.4, Max: 0.5}, r.Ratios[0].Value)
		require.True(t, r.Ratios[0].Pass)
		require.Equal(t, report.Spread{Median: 2, Min: 2, Max: 2}, r.Ratios[1].Value)
		require.False(t, r.Ratios[1].Pass)
	})
	t.Run("passes only if every ratio does", func(t *testing.T) {
		t.Parallel()
		require.False(t, r.Pass())
		require.True(t, report.New(report.Machine{}, nil, samples, floors[:1]).Pass())
	})
}

func TestWriteTable(t *testing.T) {
	t.Parallel()
	machine := report.Machine{
		Processors: 2, Processor: "Some CPU", Go: "go1.26", Postgres: "15.1", Durability: "fsync on", RabbitMQ: "3.10",
	}
	samples := []report.Sample{sample("quorum", "A", 1, 0.002), sample("quorum", "C", 1, 0.01)}
	var out bytes.Buffer
	require.NoError(t, report.New(machine, nil, samples, []report.Floor{
		{Queue: "quorum", Of: "C", To: "A", Least: 0.5},
		{Queue: "quorum", Of: "A", To: "C", Least: 0.5},
	}).WriteTable(&out))
	require.Equal(t, `Some CPU × 2, PostgreSQL 15.1 (fsync on), RabbitMQ 3.10, go1.26

queue    contender   msg/s    min–max         CPU µs/msg: contender   postgres   rabbitmq   peak RSS
quorum   A           50,000   50,000–50,000   0.0                     2.0        450        1 MiB
quorum   C           10,000   10,000–10,000   0.1                     2.0        450        1 MiB

queue    ratio of msg/s   median   min–max     floor   verdict
quorum   C / A            0.20     0.20–0.20   0.50    FAIL
quorum   A / C            5.00     5.00–5.00   0.50    pass
`, out.String())
}

func TestWriteJSON(t *testing.T) {
	t.Parallel()
	r := report.New(report.Machine{Processors: 2}, map[string]int{"rounds": 1},
		[]report.Sample{sample("classic", "A", 1, 1)}, nil)
	var out bytes.Buffer
	require.NoError(t, r.WriteJSON(&out))
	var back struct {
		Settings map[string]int  `json:"settings"`
		Rows     []report.Row    `json:"rows"`
		Ratios   []report.Ratio  `json:"ratios"`
		Samples  []report.Sample `json:"samples"`
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &back))
	require.Equal(t, map[string]int{"rounds": 1}, back.Settings)
	require.Equal(t, r.Rows, back.Rows)
	require.Equal(t, r.Samples, back.Samples)
	require.NotNil(t, back.Ratios, "a list, not null, for whoever reads it")
}
