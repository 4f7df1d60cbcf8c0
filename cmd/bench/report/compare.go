package report

import "slices"

// Metric is a figure of a sample that comparisons are about.
type Metric string

// The metrics.
const (
	Rate       Metric = "msg/s"
	LatencyP99 Metric = "p99"
	CPUTime    Metric = "CPU µs/msg"
	// Memory is the peak RSS, in MiB.
	Memory Metric = "RSS MiB"
)

func (m Metric) of(s Sample) float64 {
	switch m {
	case LatencyP99:
		return s.Latency.P99
	case CPUTime:
		return s.CPU.Contender
	case Memory:
		return float64(s.PeakRSS) / (1 << 20)
	default:
		return s.Rate()
	}
}

// Comparison holds one line against another, or a figure against its limit.
type Comparison struct {
	// Name is what the command line calls it.
	Name   string `json:"name"`
	Metric Metric `json:"metric"`
	Of     Line   `json:"of"`
	// To is the line that Of is divided by. Nil: the figure itself counts.
	To *Line `json:"to"`
	// Limit is the least, or the most if AtMost is set, that the median must be.
	// 0: it is only shown.
	Limit  float64 `json:"limit"`
	AtMost bool    `json:"at_most"`
}

// Verdict is what became of a comparison.
type Verdict struct {
	Comparison

	Value Spread `json:"value"`
	// Pass tells whether the median keeps to the limit, if there is one.
	Pass bool `json:"pass"`
}

// values compares round by round: what disturbs the machine for longer than a
// round disturbs both lines.
func (c Comparison) values(samples []Sample) []float64 {
	var values []float64
	for _, s := range of(samples, c.Of) {
		if c.To == nil {
			values = append(values, c.Metric.of(s))
			continue
		}
		others := of(samples, *c.To)
		i := slices.IndexFunc(others, func(other Sample) bool { return other.Round == s.Round })
		if i < 0 {
			continue
		}
		if base := c.Metric.of(others[i]); base > 0 {
			values = append(values, c.Metric.of(s)/base)
		}
	}
	return values
}

func (c Comparison) judge(values []float64) Verdict {
	v := Verdict{Comparison: c, Value: NewSpread(values), Pass: true}
	switch {
	case c.Limit == 0:
	case c.AtMost:
		v.Pass = v.Value.Median <= c.Limit
	default:
		v.Pass = v.Value.Median >= c.Limit
	}
	return v
}
