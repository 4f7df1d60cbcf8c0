package main // what is tested here is the program itself, which nothing can import

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/bench/process"
)

// TestMain is the program where it has started itself as a contender.
func TestMain(m *testing.M) {
	if name, ok := asChild(os.Args[1:]); ok {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		code := runChild(ctx, name, os.Getenv(setupVariable), os.Stderr)
		stop()
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// One lap of each kind on servers of its own: that it ends without an error
// means that the ledger agrees with what the contender has done.
func TestLapsOnPrivateServers(t *testing.T) {
	t.Parallel()
	s, err := parseSettings([]string{
		"-quick", "-queues", "classic", "-messages", "300", "-stock-messages", "50", "-variant-messages", "1000",
		"-waiting", "5000", "-stored", "20000", "-chats", "1000", "-rates", "200", "-steady", "1s", "-settle", "0s", "-warm-up", "0",
	}, t.Output())
	require.NoError(t, err)
	table, err := process.NewTable()
	require.NoError(t, err)
	dir := t.TempDir()
	service, err := buildService(t.Context(), "", dir)
	require.NoError(t, err)

	wanted := []string{
		"B stock Watermill", "C all three", "C 20,000", "A 1 KiB", "C 200/s", "C window held", "C 5,000 waiting",
	}
	all := contest{name: "all", large: true}
	for _, c := range s.contests(dir, service) {
		for _, v := range c.variants {
			if slices.Contains(wanted, v.Variant) {
				all.variants = append(all.variants, v)
			}
		}
	}
	require.Len(t, all.variants, len(wanted))
	b := &bench{settings: s, table: table, dir: dir, progress: t.Output()}
	require.NoError(t, b.inArena(t.Context(), []contest{all}))

	r := b.report([]contest{all})
	require.Len(t, r.Rows, len(wanted))
	for _, row := range r.Rows {
		switch row.Workload {
		case "memory":
			require.Zero(t, row.Rate.Median)
		default:
			require.Equal(t, row.Workload == "latency", row.Latency.P50.Median > 0)
			require.Positive(t, row.Rate.Median)
			require.Positive(t, row.CPU.RabbitMQ)
			require.Equal(t, row.Variant[:1] == "C", row.Allocations.Count > 0, row.Variant)
		}
		require.Greater(t, row.PeakRSS.Median, float64(1<<20))
	}
	require.NotEmpty(t, r.Machine.Postgres)
	require.NotEmpty(t, r.Machine.RabbitMQ)
	var out bytes.Buffer
	require.NoError(t, r.WriteTable(&out))
	require.Contains(t, out.String(), "C window held")
	_, err = os.Stat(dir + "/servers")
	require.ErrorIs(t, err, os.ErrNotExist, "the servers leave nothing behind")
}
