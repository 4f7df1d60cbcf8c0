package poison_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
	"chat-messaging/queries"
)

// gather puts n parked messages into the table.
func (b *bench) gather(n int) []queries.PoisonedMessage {
	b.t.Helper()
	var sent []amqp.Publishing
	for i := range n {
		sent = append(sent, b.parked(i, fmt.Sprintf(`{"chat_id":"%d","n":%d`, i%3, i)))
	}
	b.publish(b.topology.PoisonQueue, sent...)
	stop := b.collect()
	until(b.t, "all are collected", func() bool { return len(b.entries()) == n })
	stop()
	return b.entries()
}

func TestAReplayGoesToWhereTheMessageCameFrom(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	entries := b.gather(250)
	require.NoError(t, b.db.EditPoisoned(t.Context(), entries[1].ID, []byte("mended"), queries.Operator{Who: "ann"}))
	job := b.job(queries.JobReplay, 0, queries.PoisonFilter{})
	// Two workers: one leads.
	b.work(0)
	b.work(0)
	done := b.ended(job.ID)
	require.Equal(t, queries.JobDone, done.State)
	require.Equal(t, int64(250), done.Done)
	for i, d := range b.replayed(250) {
		want := string(entries[i].Body)
		if i == 1 {
			want = "mended"
		}
		require.Equal(t, want, string(d.Body), "in the original order")
		require.Equal(t, entries[i].PoisonID.String(), d.Headers[pipeline.HeaderPoisonID])
		require.Equal(t, int32(1), d.Headers[pipeline.HeaderReplayCount])
	}
	require.Zero(t, b.depth(b.topology.DatabaseQueue))
	require.Len(t, b.entries(queries.PoisonReplayed), 250)
}

func TestWhatADeadWorkerHeldIsSentByTheNext(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.gather(30)
	job := b.job(queries.JobReplay, 0, queries.PoisonFilter{})
	held, _, err := b.db.ClaimReplay(t.Context(), job, 10)
	require.NoError(t, err)
	require.Len(t, held, 10)
	b.work(0)
	require.Equal(t, int64(30), b.ended(job.ID).Done)
	for _, d := range b.replayed(30) {
		require.Equal(t, int32(1), d.Headers[pipeline.HeaderReplayCount], "under the attempt that was claimed")
	}
	require.Zero(t, b.depth(b.topology.DatabaseQueue))
}

func TestWhatNoQueueTakesWaitsAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	entries := b.gather(4)
	_, err := b.db.Exec(`UPDATE poisoned SET routing_key = 'nobody' WHERE id = $1`, entries[0].ID)
	require.NoError(t, err)
	_, err = b.db.Exec(`UPDATE poisoned SET exchange = 'gone' WHERE id = $1`, entries[1].ID)
	require.NoError(t, err)
	_, err = b.db.Exec(`UPDATE poisoned SET headers = '{"a":{"type":"word"}}' WHERE id = $1`, entries[2].ID)
	require.NoError(t, err)
	job := b.job(queries.JobReplay, 0, queries.PoisonFilter{})
	b.work(0)
	done := b.ended(job.ID)
	require.Equal(t, []int64{1, 3}, []int64{done.Done, done.Failed})
	for i, m := range b.entries(queries.PoisonWaiting) {
		require.Contains(t, m.Note, []string{"no queue takes it", "is gone", "unknown type"}[i])
	}
	records, _, err := b.db.ListAudit(t.Context(), queries.AuditFilter{JobID: job.ID, Limit: 1})
	require.NoError(t, err)
	require.Equal(t, queries.AuditPartly, records[0].Result)
}

// The rate is not measured: a slow machine would fail it. What is proved is that a
// slow job can be paused, and cancelled, in its middle.
func TestASlowJobIsPausedResumedAndCancelled(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.gather(100)
	job := b.job(queries.JobReplay, 20, queries.PoisonFilter{})
	b.work(0)
	ann := queries.Operator{Who: "ann", Via: "cli"}
	progress := func() *queries.Job {
		j, err := b.db.Job(context.Background(), job.ID)
		require.NoError(t, err)
		return j
	}
	until(t, "some are done", func() bool { return progress().Done > 0 })
	_, err := b.db.PauseJob(t.Context(), job.ID, ann)
	require.NoError(t, err)
	until(t, "nothing is under way", func() bool { return len(b.entries(queries.PoisonReplaying)) == 0 })
	paused := progress()
	require.Less(t, paused.Done, int64(100))
	require.Equal(t, paused.Claimed, paused.Done)

	_, err = b.db.ResumeJob(t.Context(), job.ID, ann)
	require.NoError(t, err)
	until(t, "more are done", func() bool { return progress().Done > paused.Done })
	_, err = b.db.CancelJob(t.Context(), job.ID, ann)
	require.NoError(t, err)
	until(t, "nothing is under way", func() bool { return len(b.entries(queries.PoisonReplaying)) == 0 })
	replayed := len(b.entries(queries.PoisonReplayed))
	b.replayed(replayed)
	require.Zero(t, b.depth(b.topology.DatabaseQueue))
	require.Len(t, b.entries(queries.PoisonWaiting), 100-replayed)
}

func TestDiscardPurgeAndRetention(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.gather(6)
	stop := b.work(0)
	require.Equal(t, int64(4), b.ended(b.job(queries.JobDiscard, 0, queries.PoisonFilter{Limit: 4}).ID).Done)
	require.Equal(t, int64(1), b.ended(b.job(queries.JobPurge, 0, queries.PoisonFilter{Limit: 1}).ID).Done)
	require.Len(t, b.entries(queries.PoisonDiscarded), 3)
	stop()
	_, err := b.db.Exec(`UPDATE poisoned SET settled_at = now() - interval '2 hours' WHERE state = 'discarded'`)
	require.NoError(t, err)
	b.work(time.Hour)
	until(t, "old records go", func() bool { return len(b.entries(queries.PoisonDiscarded)) == 0 })
	require.Len(t, b.entries(queries.PoisonWaiting), 2, "what waits stays")
}
