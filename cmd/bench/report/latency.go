package report

import (
	"math"
	"slices"
	"time"
)

// Latency are percentiles, in milliseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// NewLatency sorts the times and returns their percentiles: the p-th is the
// least of the times that p per cent of all do not exceed. Of no times it is the
// zero Latency.
func NewLatency(times []time.Duration) Latency {
	if len(times) == 0 {
		return Latency{}
	}
	slices.Sort(times)
	at := func(share float64) float64 {
		rank := int(math.Ceil(share * float64(len(times))))
		return times[max(rank, 1)-1].Seconds() * 1000
	}
	return Latency{P50: at(.50), P99: at(.99), P999: at(.999), Max: at(1)}
}
