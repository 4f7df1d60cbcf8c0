package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Line names what is measured, one row of the table: a variant of a workload on
// a type of queue.
type Line struct {
	Workload string `json:"workload"`
	Queue    string `json:"queue"`
	Variant  string `json:"variant"`
}

// Sample is one measured round of one line.
type Sample struct {
	Line

	Round int `json:"round"`
	// Messages and Seconds are 0 where no time is measured.
	Messages int     `json:"messages"`
	Seconds  float64 `json:"seconds"`
	// CPU is what the round cost, by process.
	CPU CPU `json:"cpu_us_per_message"`
	// Allocations are those of the contender, of one that tells them.
	Allocations Allocations `json:"allocations_per_message"`
	// Latency is 0 where it is not measured.
	Latency Latency `json:"latency_ms"`
	// PeakRSS is the most memory that the contender's process had, in bytes.
	PeakRSS int64 `json:"peak_rss_bytes"`
}

// Rate is messages in a second.
func (s Sample) Rate() float64 {
	if s.Seconds == 0 {
		return 0
	}
	return float64(s.Messages) / s.Seconds
}

// CPU is processor time, user and system, in microseconds for each message.
type CPU struct {
	Contender float64 `json:"contender"`
	Postgres  float64 `json:"postgres"`
	RabbitMQ  float64 `json:"rabbitmq"`
}

// Allocations are what a process allocates on its heap for each message.
type Allocations struct {
	Count float64 `json:"count"`
	Bytes float64 `json:"bytes"`
}

// Row sums up the rounds of one line.
type Row struct {
	Line

	Rounds int `json:"rounds"`
	// Rate is in messages a second.
	Rate Spread `json:"rate"`
	// Latency is in milliseconds.
	Latency LatencySpread `json:"latency_ms"`
	// CPU and Allocations have the medians.
	CPU         CPU         `json:"cpu_us_per_message"`
	Allocations Allocations `json:"allocations_per_message"`
	// PeakRSS is in bytes.
	PeakRSS Spread `json:"peak_rss_bytes"`
}

// LatencySpread is the spread of each percentile over the rounds.
type LatencySpread struct {
	P50  Spread `json:"p50"`
	P99  Spread `json:"p99"`
	P999 Spread `json:"p99_9"`
}

// Machine is what the figures were measured on. Figures of different machines
// do not compare; their ratios nearly do.
type Machine struct {
	Processors int    `json:"processors"`
	Processor  string `json:"processor"`
	Go         string `json:"go"`
	Postgres   string `json:"postgres"`
	// Durability are the settings of Postgres that the cost of a commit hangs on.
	Durability string `json:"durability"`
	RabbitMQ   string `json:"rabbitmq"`
}

// Report is everything there is to tell of one run.
type Report struct {
	Machine Machine `json:"machine"`
	// Settings are those of the run, for who wants to repeat it.
	Settings any       `json:"settings"`
	Rows     []Row     `json:"rows"`
	Verdicts []Verdict `json:"verdicts"`
	Samples  []Sample  `json:"samples"`
}

// New sums the samples up. Rows come in the order in which their first samples
// do, verdicts in that of the comparisons; a comparison for which nothing was
// measured is left out.
func New(machine Machine, settings any, samples []Sample, comparisons []Comparison) Report {
	r := Report{Machine: machine, Settings: settings, Rows: []Row{}, Verdicts: []Verdict{}, Samples: samples}
	for _, first := range samples {
		measured := slices.ContainsFunc(r.Rows, func(row Row) bool { return row.Line == first.Line })
		if !measured {
			r.Rows = append(r.Rows, newRow(of(samples, first.Line)))
		}
	}
	for _, c := range comparisons {
		if values := c.values(samples); len(values) > 0 {
			r.Verdicts = append(r.Verdicts, c.judge(values))
		}
	}
	return r
}

// Missed returns the names of the bars that were not reached.
func (r Report) Missed() []string {
	var names []string
	for _, v := range r.Verdicts {
		if !v.Pass {
			names = append(names, v.Name)
		}
	}
	return names
}

// Judged tells whether there is anything that could be missed.
func (r Report) Judged() bool {
	return slices.ContainsFunc(r.Verdicts, func(v Verdict) bool { return v.Limit > 0 })
}

// WriteJSON writes the whole report.
func (r Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("writing the report as JSON: %w", err)
	}
	return nil
}

func of(samples []Sample, line Line) []Sample {
	var found []Sample
	for _, s := range samples {
		if s.Line == line {
			found = append(found, s)
		}
	}
	return found
}

// newRow sums up samples of one line, of which there is one at least.
func newRow(samples []Sample) Row {
	over := func(value func(Sample) float64) Spread { return spread(samples, value) }
	return Row{
		Line: samples[0].Line, Rounds: len(samples),
		Rate: over(Sample.Rate),
		Latency: LatencySpread{
			P50:  over(func(s Sample) float64 { return s.Latency.P50 }),
			P99:  over(func(s Sample) float64 { return s.Latency.P99 }),
			P999: over(func(s Sample) float64 { return s.Latency.P999 }),
		},
		CPU: CPU{
			Contender: over(func(s Sample) float64 { return s.CPU.Contender }).Median,
			Postgres:  over(func(s Sample) float64 { return s.CPU.Postgres }).Median,
			RabbitMQ:  over(func(s Sample) float64 { return s.CPU.RabbitMQ }).Median,
		},
		Allocations: Allocations{
			Count: over(func(s Sample) float64 { return s.Allocations.Count }).Median,
			Bytes: over(func(s Sample) float64 { return s.Allocations.Bytes }).Median,
		},
		PeakRSS: over(func(s Sample) float64 { return float64(s.PeakRSS) }),
	}
}

func spread(samples []Sample, value func(Sample) float64) Spread {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = value(s)
	}
	return NewSpread(values)
}
