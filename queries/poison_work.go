package queries

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

const runningJobsStatement = `
SELECT` + jobColumns + `
FROM poison_jobs AS j
WHERE j.state = 'running'
ORDER BY j.id`

// RunningJobs returns the jobs to work on, the oldest first.
func (db *DB) RunningJobs(ctx context.Context) ([]Job, error) {
	var rows []jobRow
	if err := db.SelectContext(ctx, &rows, runningJobsStatement); err != nil {
		return nil, fmt.Errorf("reading the running jobs: %w", err)
	}
	jobs := make([]Job, 0, len(rows))
	for i := range rows {
		job, err := rows[i].job()
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

const (
	// The lock keeps pause and cancel waiting until the claim is committed.
	lockJobStatement = `
SELECT state, claimed, cursor_seen::text AS cursor_seen, cursor_sequence, cursor_id
FROM poison_jobs
WHERE id = $1
FOR UPDATE`
	// A message that came back has its old place, so it is behind the cursor and
	// not taken again; an attempt is counted before anything is sent.
	claimReplayStatement = `
WITH next AS (
    SELECT p.id
    FROM poisoned AS p
    WHERE p.state = 'waiting' AND p.id <= $10 AND p.attempts < $11
      AND (p.first_seen, p.sequence, p.id) > ($12::timestamptz, $13::int8, $14::int8) AND ` + poisonCondition + `
    ORDER BY p.first_seen, p.sequence, p.id
    LIMIT $15
    FOR UPDATE
), claimed AS (
    UPDATE poisoned AS p
    SET state = 'replaying', claimed_by = $16, attempts = p.attempts + 1, note = ''
    FROM next
    WHERE p.id = next.id
    RETURNING p.id, p.attempts, p.edited_at, p.first_seen, p.sequence
), noted AS (
    INSERT INTO poison_attempts (poisoned_id, attempt, job_id, edited, claimed_at)
    SELECT c.id, c.attempts, $16, c.edited_at IS NOT NULL, now()
    FROM claimed AS c
)
SELECT c.id, c.first_seen, c.sequence
FROM claimed AS c
ORDER BY c.first_seen, c.sequence, c.id`
	claimedStatement = `
SELECT` + poisonColumns + `, p.properties, p.headers, p.body, p.edited_body
FROM poisoned AS p
WHERE p.claimed_by = $1
ORDER BY p.first_seen, p.sequence, p.id`
	advanceJobStatement = `
UPDATE poison_jobs
SET claimed = claimed + $2, cursor_seen = $3, cursor_sequence = $4, cursor_id = $5, updated_at = now()
WHERE id = $1`
)

type jobCursor struct {
	State    JobState `db:"state"`
	Claimed  int64    `db:"claimed"`
	Seen     string   `db:"cursor_seen"` // a time, or -infinity
	Sequence int64    `db:"cursor_sequence"`
	ID       int64    `db:"cursor_id"`
}

// ClaimReplay takes the next entries of a replay, in the original order, at most
// n of them. Nobody else can take them. An empty list with JobRunning means that
// there are no more.
func (db *DB) ClaimReplay(ctx context.Context, job *Job, n int) (claimed []PoisonedMessage, state JobState, err error) {
	err = db.atLength(ctx, "claiming poisoned messages", func(tx *sqlx.Tx) error {
		claimed = nil
		cursor, n, err := lockJob(ctx, tx, job, n)
		if err != nil {
			return err
		}
		state = cursor.State
		if state != JobRunning || n == 0 {
			return nil
		}
		var taken []struct {
			ID       int64     `db:"id"`
			Seen     time.Time `db:"first_seen"`
			Sequence int64     `db:"sequence"`
		}
		args := append(job.Filter.args(), job.Bound, attemptsBelow(job.Kind, job.MaxAttempts, job.Forced),
			cursor.Seen, cursor.Sequence, cursor.ID, n, job.ID)
		if err := tx.SelectContext(ctx, &taken, claimReplayStatement, args...); err != nil || len(taken) == 0 {
			return err
		}
		last := taken[len(taken)-1]
		if _, err := tx.ExecContext(ctx, advanceJobStatement, job.ID, len(taken), last.Seen, last.Sequence, last.ID); err != nil {
			return err
		}
		return tx.SelectContext(ctx, &claimed, claimedStatement, job.ID)
	})
	return claimed, state, err
}

// lockJob locks the job's row, and cuts n to what the job may still take.
func lockJob(ctx context.Context, tx *sqlx.Tx, job *Job, n int) (jobCursor, int, error) {
	var cursor jobCursor
	if err := tx.GetContext(ctx, &cursor, lockJobStatement, job.ID); err != nil {
		return cursor, 0, err
	}
	return cursor, int(min(int64(n), max(job.Expected-cursor.Claimed, 0))), nil
}

// Claimed returns what a job holds: what it had taken when its worker died.
func (db *DB) Claimed(ctx context.Context, jobID int64) ([]PoisonedMessage, error) {
	var list []PoisonedMessage
	if err := db.SelectContext(ctx, &list, claimedStatement, jobID); err != nil {
		return nil, fmt.Errorf("reading what a job has claimed: %w", err)
	}
	return list, nil
}

const (
	// What has come back in the meantime is waiting again, and stays so. An attempt
	// is settled once, however often it is tried.
	settleReplayedStatement = `
WITH settled AS (
    UPDATE poisoned AS p
    SET state = 'replayed', claimed_by = NULL, settled_at = now(), settled_by = j.who
    FROM poison_jobs AS j
    WHERE p.id = ANY ($2::int8[]) AND p.claimed_by = $1 AND j.id = $1
)
UPDATE poison_attempts AS a
SET confirmed_at = now()
WHERE a.job_id = $1 AND a.poisoned_id = ANY ($2::int8[]) AND a.confirmed_at IS NULL AND a.error = ''`
	settleRefusedStatement = `
WITH settled AS (
    UPDATE poisoned AS p
    SET state = 'waiting', claimed_by = NULL, note = v.error
    FROM unnest($2::int8[], $3::text[]) AS v (id, error)
    WHERE p.id = v.id AND p.claimed_by = $1
)
UPDATE poison_attempts AS a
SET error = v.error
FROM unnest($2::int8[], $3::text[]) AS v (id, error)
WHERE a.job_id = $1 AND a.poisoned_id = v.id AND a.confirmed_at IS NULL AND a.error = ''`
	countJobStatement = `
UPDATE poison_jobs
SET done = done + $2, failed = failed + $3, updated_at = now(), error = ''
WHERE id = $1`
)

// SettleReplay writes down what became of claimed entries: the ids that the broker
// has confirmed, and those that it does not take, with the reason. After an error
// it may be done again.
func (db *DB) SettleReplay(ctx context.Context, jobID int64, confirmed []int64, refused map[int64]string) error {
	ids, reasons := make([]int64, 0, len(refused)), make([]string, 0, len(refused))
	for id, reason := range refused {
		ids, reasons = append(ids, id), append(reasons, storable(reason))
	}
	return db.transact(ctx, "settling replayed messages", func(tx *sqlx.Tx) error {
		done, err := changed(tx.ExecContext(ctx, settleReplayedStatement, jobID, pq.Array(confirmed)))
		if err != nil {
			return err
		}
		failed, err := changed(tx.ExecContext(ctx, settleRefusedStatement, jobID, pq.Array(ids), pq.Array(reasons)))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, countJobStatement, jobID, done, failed)
		return err
	})
}

const (
	discardStatement = `
WITH next AS (
    SELECT p.id
    FROM poisoned AS p
    WHERE p.state = 'waiting' AND p.id <= $10 AND ` + poisonCondition + `
    ORDER BY p.first_seen, p.sequence, p.id
    LIMIT $11
    FOR UPDATE
)
UPDATE poisoned AS p
SET state = 'discarded', settled_at = now(), settled_by = $12, note = $13
FROM next
WHERE p.id = next.id`
	purgeStatement = `
WITH next AS (
    SELECT p.id
    FROM poisoned AS p
    WHERE p.state = ANY ($10::text[]) AND p.id <= $11 AND ` + poisonCondition + `
    ORDER BY p.first_seen, p.sequence, p.id
    LIMIT $12
    FOR UPDATE
)
DELETE FROM poisoned AS p
USING next
WHERE p.id = next.id`
	countDoneStatement = `
UPDATE poison_jobs
SET claimed = claimed + $2, done = done + $2, updated_at = now(), error = ''
WHERE id = $1`
)

// SettleNext discards or purges the next entries of a job, at most n, and returns
// how many. 0 with JobRunning means that there are no more.
func (db *DB) SettleNext(ctx context.Context, job *Job, n int) (settled int64, state JobState, err error) {
	err = db.atLength(ctx, "settling poisoned messages", func(tx *sqlx.Tx) error {
		settled = 0
		cursor, n, err := lockJob(ctx, tx, job, n)
		if err != nil {
			return err
		}
		state = cursor.State
		if state != JobRunning || n == 0 {
			return nil
		}
		statement, args := purgeStatement, append(job.Filter.args(), job.Filter.states(), job.Bound, n)
		if job.Kind == JobDiscard {
			statement, args = discardStatement, append(job.Filter.args(), job.Bound, n, job.Who, job.Reason)
		}
		if settled, err = changed(tx.ExecContext(ctx, statement, args...)); err != nil || settled == 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, countDoneStatement, job.ID, settled)
		return err
	})
	return settled, state, err
}
