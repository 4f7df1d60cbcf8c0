package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	memory "chat-messaging/cmd/bench/process"
	"chat-messaging/cmd/services/instance"
	"chat-messaging/queries/queriestest"
)

const mebi = 1 << 20

// limit is the memory that the garbage collector is told to keep to; ceiling is
// what the process may ever have resident, with all that Go does not count.
const (
	limit   = "GOMEMLIMIT=128MiB"
	ceiling = 288 * mebi
)

// withoutCollector leaves what is parked in the poison queue, where it is counted.
const withoutCollector = "COMPONENTS=pipeline,relay,http"

// buildProgram returns the program as it is shipped: this test binary, with its race
// detector, takes many times as much memory.
func buildProgram(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), program)
	out, err := exec.CommandContext(within(t, 2*patience), "go", "build", "-trimpath", "-o", path, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// peak is the most memory that the process has had so far, in bytes.
func (p *process) peak() int64 {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	require.NoError(p.t, err)
	taken, err := memory.ParseMemory(string(status))
	require.NoError(p.t, err)
	return taken.PeakRSS
}

// What is thrown at the service does not decide how much memory it takes.
// MEMORY_PAYLOADS makes the flood longer.
func TestMemoryStaysBounded(t *testing.T) {
	t.Parallel()
	// Not the shared broker: an alarm there would stop the other tests.
	rabbit, err := instance.StartRabbitMQ(within(t, 2*patience), instance.RabbitMQConfig{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, rabbit.Kill()) })
	binary := buildProgram(t)

	// The worst that payloads can do: they come as fast as the broker can send
	// them, and none of them can be settled, because the poison queue is away.
	t.Run("under a flood of payloads that cannot be settled", func(t *testing.T) {
		c := newCornerAt(t, rabbit.URL(), queriestest.SchemaURL(t), "QUEUE_TYPE=classic", "PREFETCH=2000", "BATCH_SIZE=1000", withoutCollector, limit)
		chat := fmt.Sprint(queriestest.Chat(t, c.db, 1, 2))
		r := c.record("classic")
		n := scale(t, "MEMORY_PAYLOADS", 24)
		c.send(say(t, chat, "a", 1, 2, "makes the queues"))
		p := startProgram(t, binary, append(c.environ, "AMQP_DECLARE=false"), "serve")
		r.await(1)
		idle := p.peak()
		poison := c.config().PoisonQueueName
		c.onChannel(func(ch *amqp.Channel) {
			_, err := ch.QueueDelete(poison, false, false, false)
			require.NoError(t, err)
		})
		flood := bytes.Repeat([]byte("x"), 16*mebi)
		c.publish(append(slices.Repeat([][]byte{flood}, n), []byte(say(t, chat, "b", 1, 2, "behind all of it")))...)
		stalled := p.settledPeak()
		require.Less(t, stalled, int64(ceiling))

		began := time.Now()
		c.onChannel(func(ch *amqp.Channel) {
			_, err := ch.QueueDeclare(poison, true, false, false, false, nil)
			require.NoError(t, err)
		})
		parked := func() int {
			return int(metric(t, p.url(), "chat_messaging_outcomes_total")[`code="too_large",outcome="poisoned"`])
		}
		for before := parked(); before < n; before = parked() {
			eventually(t, "not all of it is in the poison queue", func() bool { return parked() > before })
		}
		r.await(2)
		t.Logf("%d payloads of 16 MiB: %d MiB idle, %d MiB while nothing could be settled, %d MiB at most, settled in %s",
			n, idle/mebi, stalled/mebi, p.peak()/mebi, time.Since(began).Round(time.Millisecond))
		// While they are settled one after the other, garbage of those before may be
		// resident too: GOMEMLIMIT is soft, and on a busy machine the collector lags.
		p.stop()
		require.Zero(t, c.left(c.config().DatabaseQueueName))
		require.Equal(t, n, c.left(poison))
	})

	// The database holds what nobody takes; the service reads it window by window.
	t.Run("while nobody takes the events", func(t *testing.T) {
		c := newCornerAt(t, rabbit.URL(), queriestest.SchemaURL(t), "QUEUE_TYPE=classic", "PREFETCH=2000", "BATCH_SIZE=1000", limit)
		full := c.config().DeliveryExchangeName + ".full"
		c.onChannel(func(ch *amqp.Channel) {
			require.NoError(t, ch.ExchangeDeclare(c.config().DeliveryExchangeName, "direct", true, false, false, false, nil))
			_, err := ch.QueueDeclare(full, true, false, false, false, amqp.Table{"x-max-length": int32(10), "x-overflow": "reject-publish"})
			require.NoError(t, err)
			require.NoError(t, ch.QueueBind(full, "", c.config().DeliveryExchangeName, false, nil))
		})
		// As they are after a while without a consumer: a quarter of a gigabyte of
		// 5,000 chats.
		const n = 20_000
		const atOnce = 4000 // a statement has five seconds
		for range n / atOnce {
			_, err := c.db.ExecContext(t.Context(), `
INSERT INTO outbox (events)
SELECT concat_ws(E'\t', gen_random_uuid(), 1 + n % 5000, 1, 'delivered', '{"body":"' || repeat('x', 12000) || E'"}\n')
FROM generate_series(1, $1::int) AS n`, atOnce)
			require.NoError(t, err)
		}
		p := startProgram(t, binary, c.environ, "serve")
		eventually(t, "the queue was to be full", func() bool {
			_, metrics := get(t, p.url()+"/metrics")
			return regexp.MustCompile(`(?m)^chat_messaging_events_held_total [1-9][0-9]{3,}`).MatchString(metrics)
		})
		stalled := p.settledPeak()
		t.Logf("%d events of 12 KiB: %d MiB while nobody takes them", n, stalled/mebi)
		require.Less(t, stalled, int64(160*mebi))
		require.Greater(t, c.count("outbox"), n-1000)
		p.stop()
	})
}

// settledPeak waits until the process takes no more memory.
func (p *process) settledPeak() int64 {
	p.t.Helper()
	most, since := p.peak(), time.Now()
	eventually(p.t, "it takes more and more memory", func() bool {
		if now := p.peak(); now > most {
			most, since = now, time.Now()
		}
		return time.Since(since) > 3*time.Second
	})
	return most
}

// publish sends bodies with confirms, and makes nothing.
func (c *corner) publish(bodies ...[]byte) {
	c.t.Helper()
	c.onChannel(func(ch *amqp.Channel) {
		require.NoError(c.t, ch.Confirm(false))
		for _, body := range bodies {
			confirm, err := ch.PublishWithDeferredConfirm(c.config().DatabaseExchangeName, "", true, false, amqp.Publishing{Body: body})
			require.NoError(c.t, err)
			require.True(c.t, confirm.Wait())
		}
	})
}
