package queries_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

func replayJob(t testing.TB, db *queries.DB, line string) *queries.Job {
	t.Helper()
	f, err := queries.ParsePoisonFilterText(line, time.Now())
	require.NoError(t, err)
	job, err := db.CreateJob(context.Background(), queries.NewJob{Kind: queries.JobReplay, Filter: f, By: operator})
	require.NoError(t, err)
	return job
}

func claim(t testing.TB, db *queries.DB, job *queries.Job, n int) []queries.PoisonedMessage {
	t.Helper()
	claimed, _, err := db.ClaimReplay(context.Background(), job, n)
	require.NoError(t, err)
	return claimed
}

func settle(t testing.TB, db *queries.DB, job *queries.Job, claimed []queries.PoisonedMessage) {
	t.Helper()
	var ids []int64
	for _, m := range claimed {
		ids = append(ids, m.ID)
	}
	require.NoError(t, db.SettleReplay(context.Background(), job.ID, ids, nil))
}

// back is the message as it comes back from the attempt.
func back(m queries.PoisonedMessage, attempt int, code string) queries.NewPoisoned {
	n := poisoned(code, m.ChatID, int(m.Sequence))
	n.PoisonID, n.Attempt, n.Body, n.LastSeen = m.PoisonID, attempt, m.Outgoing(), time.Now()
	return n
}

func TestAReplayTakesItsSelectionInTheOriginalOrder(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	// Collected the other way round than they came.
	for n := 9; n >= 0; n-- {
		collect(t, db, poisoned([]string{"empty", "loop"}[n%2], "1", n))
	}
	preview, err := db.PreviewPoison(t.Context(), queries.JobReplay, queries.PoisonFilter{Reasons: []string{"empty"}}, 0, false)
	require.NoError(t, err)
	require.Equal(t, int64(5), preview.Count)
	job := replayJob(t, db, "reason:empty")
	collect(t, db, poisoned("empty", "1", 100)) // after the preview

	var order []int64
	for {
		claimed := claim(t, db, job, 2)
		if len(claimed) == 0 {
			break
		}
		for _, m := range claimed {
			order = append(order, m.Sequence)
			require.Equal(t, queries.PoisonReplaying, m.State)
			require.Equal(t, 1, m.Attempts)
		}
		settle(t, db, job, claimed)
		settle(t, db, job, claimed) // as after a commit whose answer was lost
	}
	require.Equal(t, []int64{0, 2, 4, 6, 8}, order)
	require.NoError(t, db.FinishJob(t.Context(), job.ID, ""))
	done, err := db.Job(t.Context(), job.ID)
	require.NoError(t, err)
	require.Equal(t, queries.JobDone, done.State)
	require.Equal(t, int64(5), done.Done)
	require.Equal(t, int64(5), done.Claimed)
	require.Len(t, list(t, db, "state:replayed"), 5)
	requireTrueCounts(t, db)

	records, _, err := db.ListAudit(t.Context(), queries.AuditFilter{JobID: job.ID})
	require.NoError(t, err)
	require.Len(t, records, 2)
	require.Equal(t, queries.AuditDone, records[0].Result)
	require.Equal(t, int64(5), records[0].Affected)
	require.JSONEq(t, `{"reason":["empty"],"state":["waiting"]}`, string(records[0].Selection))
}

func TestTwoJobsNeverTakeTheSameEntry(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	var batch []queries.NewPoisoned
	for n := range 200 {
		batch = append(batch, poisoned("empty", fmt.Sprint(n%7), n))
	}
	collect(t, db, batch...)
	jobs := []*queries.Job{replayJob(t, db, ""), replayJob(t, db, "")}
	var mu sync.Mutex
	taken := map[int64]int{}
	var work sync.WaitGroup
	for _, job := range jobs {
		work.Go(func() {
			for {
				claimed, _, err := db.ClaimReplay(t.Context(), job, 7)
				if !assert.NoError(t, err) || len(claimed) == 0 {
					return
				}
				mu.Lock()
				var ids []int64
				for _, m := range claimed {
					ids = append(ids, m.ID)
					taken[m.ID]++
				}
				mu.Unlock()
				if !assert.NoError(t, db.SettleReplay(t.Context(), job.ID, ids, nil)) {
					return
				}
			}
		})
	}
	work.Wait()
	require.Len(t, taken, 200)
	for id, times := range taken {
		require.Equal(t, 1, times, id)
	}
	requireTrueCounts(t, db)
}

func TestAMessageThatComesBackIsTheSameEntry(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	collect(t, db, poisoned("empty", "1", 1), poisoned("empty", "1", 2))
	job := replayJob(t, db, "limit:1")
	claimed := claim(t, db, job, 10)
	require.Len(t, claimed, 1)
	m := claimed[0]

	// It may be back before the worker has written down that it is out.
	require.Equal(t, queries.Collected{Returned: 1}, collect(t, db, back(m, 1, "loop")))
	settle(t, db, job, claimed)
	require.Equal(t, queries.Collected{Repeated: 1}, collect(t, db, back(m, 1, "loop")), "sent twice, back twice, one return")
	entry, history, err := db.PoisonedMessage(t.Context(), m.ID)
	require.NoError(t, err)
	require.Equal(t, queries.PoisonWaiting, entry.State)
	require.Equal(t, "loop", entry.Code)
	require.Equal(t, 1, entry.Attempts)
	require.Equal(t, 1, entry.Returned)
	require.Len(t, history, 2)
	require.Equal(t, "empty", history[0].Code)
	require.Equal(t, "loop", history[1].Code)
	require.NotNil(t, history[1].ConfirmedAt)
	require.NotNil(t, history[1].ReturnedAt)
	require.Empty(t, claim(t, db, job, 10), "no job takes a message twice")
	seen, err := db.Job(t.Context(), job.ID)
	require.NoError(t, err)
	require.Equal(t, int64(1), seen.Returned)
	require.Equal(t, int64(1), seen.Done)

	stranger := back(m, 2, "loop")
	stranger.Body = []byte("not what was sent")
	require.Equal(t, queries.Collected{New: 1}, collect(t, db, stranger))
	require.Equal(t, queries.Collected{Repeated: 1}, collect(t, db, stranger))

	for attempt := 2; attempt <= 3; attempt++ {
		job := replayJob(t, db, fmt.Sprintf("id:%d", m.ID))
		claimed := claim(t, db, job, 1)
		require.Len(t, claimed, 1)
		settle(t, db, job, claimed)
		collect(t, db, back(claimed[0], attempt, "loop"))
	}
	only := queries.PoisonFilter{IDs: []int64{m.ID}}
	preview, err := db.PreviewPoison(t.Context(), queries.JobReplay, only, 0, false)
	require.NoError(t, err)
	require.Equal(t, queries.PoisonPreview{Looping: 1, Bound: preview.Bound}, preview)
	_, err = db.CreateJob(t.Context(), queries.NewJob{Kind: queries.JobReplay, Filter: only, By: operator})
	require.ErrorIs(t, err, queries.ErrNothingMatches)
	forced, err := db.CreateJob(t.Context(), queries.NewJob{Kind: queries.JobReplay, Filter: only, By: operator, Forced: true})
	require.NoError(t, err)
	require.Len(t, claim(t, db, forced, 1), 1)
	requireTrueCounts(t, db)
}

func TestARefusedReplayWaitsAgain(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	collect(t, db, poisoned("empty", "1", 1))
	job := replayJob(t, db, "")
	m := claim(t, db, job, 1)[0]
	require.NoError(t, db.SettleReplay(t.Context(), job.ID, nil, map[int64]string{m.ID: "no queue"}))
	entry, history, err := db.PoisonedMessage(t.Context(), m.ID)
	require.NoError(t, err)
	require.Equal(t, queries.PoisonWaiting, entry.State)
	require.Equal(t, "no queue", entry.Note)
	require.Equal(t, "no queue", history[0].Error)
	require.NoError(t, db.FinishJob(t.Context(), job.ID, ""))
	records, _, err := db.ListAudit(t.Context(), queries.AuditFilter{JobID: job.ID, Limit: 1})
	require.NoError(t, err)
	require.Equal(t, queries.AuditFailed, records[0].Result)
}

func TestJobsArePausedResumedAndCancelled(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	for n := range 4 {
		collect(t, db, poisoned("empty", "1", n))
	}
	job := replayJob(t, db, "")
	held := claim(t, db, job, 1)

	_, err := db.PauseJob(t.Context(), job.ID, operator)
	require.NoError(t, err)
	claimed, state, err := db.ClaimReplay(t.Context(), job, 1)
	require.NoError(t, err)
	require.Empty(t, claimed)
	require.Equal(t, queries.JobPaused, state)
	require.NoError(t, db.FinishJob(t.Context(), job.ID, ""), "a paused job is not finished")

	_, err = db.ResumeJob(t.Context(), job.ID, operator)
	require.NoError(t, err)
	left, err := db.Claimed(t.Context(), job.ID)
	require.NoError(t, err)
	require.Equal(t, held, left, "what a dead worker held is found by the next")

	cancelled, err := db.CancelJob(t.Context(), job.ID, operator)
	require.NoError(t, err)
	require.Equal(t, queries.JobCancelled, cancelled.State)
	require.NoError(t, db.ReleaseClaims(t.Context(), nil))
	require.Len(t, list(t, db, "state:waiting"), 4)
	_, err = db.ResumeJob(t.Context(), job.ID, operator)
	require.ErrorIs(t, err, queries.ErrJobState)
	_, err = db.ResumeJob(t.Context(), 1<<40, operator)
	require.ErrorIs(t, err, queries.ErrNotFound)
	requireTrueCounts(t, db)
}

func TestAJobIsRefusedWhereItMakesNoSense(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	collect(t, db, poisoned("empty", "1", 1), poisoned("empty", "1", 2))
	one := int64(1)
	for name, c := range map[string]struct {
		job  queries.NewJob
		want error
	}{
		"more than was agreed to": {queries.NewJob{Kind: queries.JobReplay, By: operator, Expected: &one}, queries.ErrSelectionChanged},
		"nothing matches": {
			queries.NewJob{Kind: queries.JobReplay, By: operator, Filter: queries.PoisonFilter{Chat: "9"}}, queries.ErrNothingMatches,
		},
		"nothing settled to purge":    {queries.NewJob{Kind: queries.JobPurge, By: operator}, queries.ErrNothingMatches},
		"a discard without a reason":  {queries.NewJob{Kind: queries.JobDiscard, By: operator}, queries.ErrInvalidJob},
		"an unknown kind":             {queries.NewJob{Kind: "burn", By: operator}, queries.ErrInvalidJob},
		"a rate below zero":           {queries.NewJob{Kind: queries.JobReplay, By: operator, Rate: -1}, queries.ErrInvalidJob},
		"attempts below one":          {queries.NewJob{Kind: queries.JobReplay, By: operator, MaxAttempts: -1}, queries.ErrInvalidJob},
		"nobody has asked for it":     {queries.NewJob{Kind: queries.JobReplay}, queries.ErrInvalidJob},
		"a purge of what still waits": {queries.NewJob{Kind: queries.JobPurge, By: operator, Filter: queries.PoisonFilter{States: []queries.PoisonState{queries.PoisonWaiting}}}, queries.ErrNothingMatches},
	} {
		_, err := db.CreateJob(t.Context(), c.job)
		require.ErrorIs(t, err, c.want, name)
	}
	jobs, _, err := db.ListJobs(t.Context(), false, 0, 0)
	require.NoError(t, err)
	require.Empty(t, jobs)
}

func TestDiscardedRecordsArePurgedAndDropped(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	for n := range 5 {
		collect(t, db, poisoned("empty", "1", n))
	}
	discardAll(t, db)
	entries := list(t, db, "state:discarded")
	require.Len(t, entries, 5)
	require.Equal(t, "a test", entries[0].Note)
	require.Equal(t, "ann", entries[0].SettledBy)

	job, err := db.CreateJob(t.Context(), queries.NewJob{Kind: queries.JobPurge, By: operator, Filter: queries.PoisonFilter{Limit: 3}})
	require.NoError(t, err)
	finish(t, db, job)
	require.Len(t, list(t, db, ""), 2)

	dropped, err := db.DropSettled(t.Context(), time.Hour, 10)
	require.NoError(t, err)
	require.Zero(t, dropped)
	_, err = db.Exec(`UPDATE poisoned SET settled_at = now() - interval '2 hours'`)
	require.NoError(t, err)
	dropped, err = db.DropSettled(t.Context(), time.Hour, 1)
	require.NoError(t, err)
	require.Equal(t, int64(1), dropped)
	requireTrueCounts(t, db)
}
