package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Sample is one measured round of one contender.
type Sample struct {
	Queue     string  `json:"queue"`
	Contender string  `json:"contender"`
	Round     int     `json:"round"`
	Messages  int     `json:"messages"`
	Seconds   float64 `json:"seconds"`
	// CPU is what the round cost, by process.
	CPU CPU `json:"cpu_us_per_message"`
	// PeakRSS is the most memory that the contender's process had, in bytes.
	PeakRSS int64 `json:"peak_rss_bytes"`
}

// Rate is messages in a second.
func (s Sample) Rate() float64 { return float64(s.Messages) / s.Seconds }

// CPU is processor time, user and system, in microseconds for each message.
type CPU struct {
	Contender float64 `json:"contender"`
	Postgres  float64 `json:"postgres"`
	RabbitMQ  float64 `json:"rabbitmq"`
}

// Row sums up the rounds of one contender on one type of queue.
type Row struct {
	Queue     string `json:"queue"`
	Contender string `json:"contender"`
	Rounds    int    `json:"rounds"`
	// Rate is in messages a second.
	Rate Spread `json:"rate"`
	// CPU has the medians.
	CPU CPU `json:"cpu_us_per_message"`
	// PeakRSS is the highest of all rounds, in bytes.
	PeakRSS int64 `json:"peak_rss_bytes"`
}

// Floor is the least that the ratio of two contenders' rates must reach.
type Floor struct {
	Queue string  `json:"queue"`
	Of    string  `json:"of"`
	To    string  `json:"to"`
	Least float64 `json:"least"`
}

// Ratio compares the rates of two contenders, round by round: what disturbs
// the machine for longer than a round disturbs both.
type Ratio struct {
	Queue string  `json:"queue"`
	Of    string  `json:"of"`
	To    string  `json:"to"`
	Value Spread  `json:"value"`
	Floor float64 `json:"floor"`
	// Pass tells whether the median reaches the floor.
	Pass bool `json:"pass"`
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
	Settings any      `json:"settings"`
	Rows     []Row    `json:"rows"`
	Ratios   []Ratio  `json:"ratios"`
	Samples  []Sample `json:"samples"`
}

// New sums the samples up. Rows come in the order in which their first samples
// do, ratios in that of the floors; a floor for which nothing was measured is
// left out.
func New(machine Machine, settings any, samples []Sample, floors []Floor) Report {
	r := Report{Machine: machine, Settings: settings, Samples: samples, Ratios: []Ratio{}}
	for _, first := range samples {
		measured := slices.ContainsFunc(r.Rows, func(row Row) bool {
			return row.Queue == first.Queue && row.Contender == first.Contender
		})
		if !measured {
			r.Rows = append(r.Rows, newRow(of(samples, first.Queue, first.Contender)))
		}
	}
	for _, floor := range floors {
		if values := compare(samples, floor); len(values) > 0 {
			value := NewSpread(values)
			r.Ratios = append(r.Ratios, Ratio{
				Queue: floor.Queue, Of: floor.Of, To: floor.To,
				Value: value, Floor: floor.Least, Pass: value.Median >= floor.Least,
			})
		}
	}
	return r
}

// Pass tells whether every ratio reaches its floor.
func (r Report) Pass() bool {
	return !slices.ContainsFunc(r.Ratios, func(ratio Ratio) bool { return !ratio.Pass })
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

func of(samples []Sample, queue, contender string) []Sample {
	var found []Sample
	for _, s := range samples {
		if s.Queue == queue && s.Contender == contender {
			found = append(found, s)
		}
	}
	return found
}

// newRow sums up samples of one queue and contender, of which there is one.
func newRow(samples []Sample) Row {
	median := func(value func(Sample) float64) float64 { return spread(samples, value).Median }
	row := Row{
		Queue: samples[0].Queue, Contender: samples[0].Contender, Rounds: len(samples),
		Rate: spread(samples, Sample.Rate),
		CPU: CPU{
			Contender: median(func(s Sample) float64 { return s.CPU.Contender }),
			Postgres:  median(func(s Sample) float64 { return s.CPU.Postgres }),
			RabbitMQ:  median(func(s Sample) float64 { return s.CPU.RabbitMQ }),
		},
	}
	for _, s := range samples {
		row.PeakRSS = max(row.PeakRSS, s.PeakRSS)
	}
	return row
}

func spread(samples []Sample, value func(Sample) float64) Spread {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = value(s)
	}
	return NewSpread(values)
}

// compare returns the ratio of each round in which both contenders ran.
func compare(samples []Sample, floor Floor) []float64 {
	var values []float64
	for _, s := range of(samples, floor.Queue, floor.Of) {
		for _, other := range of(samples, floor.Queue, floor.To) {
			if other.Round == s.Round {
				values = append(values, s.Rate()/other.Rate())
			}
		}
	}
	return values
}
