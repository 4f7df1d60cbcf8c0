package pipeline_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
)

// awaitOutcomes returns once n deliveries are counted.
func (s *service) awaitOutcomes(t testing.TB, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return sum(outcomes(t, s.registry)) >= n }, patience, 10*time.Millisecond,
		"deliveries have no outcome")
}

// outcomes reads the counters by outcome and code.
func outcomes(t testing.TB, registry *prometheus.Registry) map[string]int {
	t.Helper()
	return counter(t, registry, "chat_messaging_outcomes_total")
}

// counter reads a counter by the values of its labels, outcome before code.
func counter(t testing.TB, registry *prometheus.Registry, name string) map[string]int {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	values := map[string]int{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() { // sorted by name
				labels = append(labels, label.GetValue())
			}
			slices.Reverse(labels)
			values[strings.Join(labels, "/")] = int(metric.GetCounter().GetValue())
		}
	}
	return values
}

func sum(counts map[string]int) int {
	total := 0
	for n := range maps.Values(counts) {
		total += n
	}
	return total
}

// count returns the number of rows of a table.
func (b *bench) count(table string) int {
	b.t.Helper()
	return countRows(b.t, b.db, table)
}

func countRows(t testing.TB, db *queries.DB, table string) int {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), patience, errors.New("counting rows takes too long"))
	defer cancel()
	var n int
	require.NoError(t, db.GetContext(ctx, &n, "SELECT count(*) FROM "+table))
	return n
}
