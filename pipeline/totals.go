package pipeline

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"chat-messaging/handlers"
	"chat-messaging/queries"
)

// Totals reads the counters since the start, for the instance's heartbeat.
func (m *Metrics) Totals() queries.Totals {
	outcomes, events := sums(m.outcomes, "outcome"), sums(m.dispatched, "result")
	t := queries.Totals{
		Accepted:   outcomes[handlers.Accepted.String()],
		Rejected:   outcomes[handlers.Rejected.String()],
		Repeated:   outcomes[handlers.Repeated.String()],
		Replayed:   outcomes[handlers.Replayed.String()],
		Poisoned:   outcomes[handlers.Failed.String()],
		Dispatched: events["confirmed"],
		Unroutable: events["unroutable"],
		Held:       sums(m.held, "")[""],
		Retries:    sums(m.retries, "")[""],
	}
	var batches dto.Metric
	if err := m.batchSize.Write(&batches); err == nil {
		t.Batches = int64(batches.GetHistogram().GetSampleCount()) //nolint:gosec // a count of transactions
		t.BatchMessages = int64(batches.GetHistogram().GetSampleSum())
	}
	return t
}

// sums adds up a counter's values by one of its labels.
func sums(c prometheus.Collector, label string) map[string]int64 {
	collected := make(chan prometheus.Metric)
	go func() {
		defer close(collected)
		c.Collect(collected)
	}()
	totals := map[string]int64{}
	for each := range collected {
		var metric dto.Metric
		if err := each.Write(&metric); err != nil {
			continue
		}
		value := ""
		for _, pair := range metric.GetLabel() {
			if pair.GetName() == label {
				value = pair.GetValue()
			}
		}
		totals[value] += int64(metric.GetCounter().GetValue())
	}
	return totals
}
