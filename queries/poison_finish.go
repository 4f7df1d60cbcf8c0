package queries

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

const finishJobStatement = `
UPDATE poison_jobs
SET state = $2, error = $3, finished_at = now(), updated_at = now()
WHERE id = $1 AND state = 'running'`

// FinishJob ends a running job for good and audits the result; a job that was
// paused or cancelled in the meantime stays as it is. fault is why it failed, ""
// if it did not.
func (db *DB) FinishJob(ctx context.Context, id int64, fault string) error {
	state := JobDone
	if fault != "" {
		state = JobFailed
	}
	return db.transact(ctx, "finishing a job", func(tx *sqlx.Tx) error {
		count, err := changed(tx.ExecContext(ctx, finishJobStatement, id, state, storable(fault)))
		if err != nil || count == 0 {
			return err
		}
		job, err := readJob(ctx, tx, id)
		if err != nil {
			return err
		}
		return recordAudit(ctx, tx, job.finished())
	})
}

// finished is the record of the job's end.
func (j *Job) finished() AuditRecord {
	result := AuditDone
	switch {
	case j.State == JobFailed, j.Done == 0 && j.Failed > 0:
		result = AuditFailed
	case j.Done < j.Expected:
		result = AuditPartly
	}
	detail := fmt.Sprintf("%d of %d done, %d failed", j.Done, j.Expected, j.Failed)
	if j.Error != "" {
		detail += ": " + j.Error
	}
	return AuditRecord{
		Who: j.Who, Via: j.Via, Action: "poison." + string(j.Kind), Selection: json.RawMessage(j.Filter.selection()),
		Affected: j.Done, Result: result, Detail: detail, JobID: &j.ID,
	}
}

const (
	jobTroubleStatement = `UPDATE poison_jobs SET error = $2, updated_at = now() WHERE id = $1 AND state = 'running' AND error <> $2`
	// Whether a message was sent whose job was cancelled meanwhile nobody knows;
	// the number of the attempt is used up, so that its return is recognized.
	releaseClaimsStatement = `
UPDATE poisoned AS p
SET state = 'waiting', claimed_by = NULL, note = 'the job was ended while it was under way: it may have been sent'
FROM poison_jobs AS j
WHERE p.claimed_by = j.id AND j.state IN ('done', 'failed', 'cancelled') AND NOT (j.id = ANY ($1::int8[]))`
)

// JobTrouble notes on a running job why it does not get on at the moment.
func (db *DB) JobTrouble(ctx context.Context, id int64, trouble string) error {
	if _, err := db.ExecContext(ctx, jobTroubleStatement, id, storable(trouble)); err != nil {
		return fmt.Errorf("noting a job's trouble: %w", err)
	}
	return nil
}

// ReleaseClaims gives back what jobs hold that have ended. The worker calls it, and
// leaves out the jobs whose messages it is just sending.
func (db *DB) ReleaseClaims(ctx context.Context, except []int64) error {
	if except == nil {
		except = []int64{}
	}
	if _, err := db.ExecContext(ctx, releaseClaimsStatement, pq.Array(except)); err != nil {
		return fmt.Errorf("releasing claims: %w", err)
	}
	return nil
}

const retainPoisonedStatement = `
DELETE FROM poisoned
WHERE id IN (
    SELECT id
    FROM poisoned
    WHERE settled_at < now() - make_interval(secs => $1)
    ORDER BY settled_at
    LIMIT $2
)`

// DropSettled deletes records that were settled longer than keep ago, at most n
// of them, and returns how many.
func (db *DB) DropSettled(ctx context.Context, keep time.Duration, n int) (int64, error) {
	dropped, err := changed(db.ExecContext(ctx, retainPoisonedStatement, keep.Seconds(), n))
	if err != nil {
		return 0, fmt.Errorf("deleting old records: %w", err)
	}
	return dropped, nil
}
