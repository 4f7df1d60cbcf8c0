package queries

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"
)

// ErrJobState is returned where a job cannot go to the state that it is asked to.
var ErrJobState = errors.New("the job is not in a state to do that")

const steerJobStatement = `
UPDATE poison_jobs
SET state = $2, updated_at = now(), error = '',
    finished_at = CASE WHEN $2 = 'cancelled' THEN now() END
WHERE id = $1 AND state = ANY ($3::text[])`

// PauseJob stops a running job after the messages that are under way.
func (db *DB) PauseJob(ctx context.Context, id int64, by Operator) (*Job, error) {
	return db.steerJob(ctx, id, by, "pause", JobPaused, "{running,paused}")
}

// ResumeJob lets a paused job go on.
func (db *DB) ResumeJob(ctx context.Context, id int64, by Operator) (*Job, error) {
	return db.steerJob(ctx, id, by, "resume", JobRunning, "{running,paused}")
}

// CancelJob ends a job; what it has not done stays as it is.
func (db *DB) CancelJob(ctx context.Context, id int64, by Operator) (*Job, error) {
	return db.steerJob(ctx, id, by, "cancel", JobCancelled, "{running,paused,cancelled}")
}

// steerJob changes the state of a job. It returns ErrNotFound, or ErrJobState
// where the job is in none of the states of from, which is audited as refused.
func (db *DB) steerJob(ctx context.Context, id int64, by Operator, verb string, to JobState, from string) (*Job, error) {
	job, err := db.Job(ctx, id)
	if err != nil {
		return nil, err
	}
	record := AuditRecord{
		Who: by.Who, Via: by.Via, Action: "job." + verb, Selection: json.RawMessage(job.Filter.selection()), JobID: &id,
		Result: AuditDone,
	}
	err = db.transact(ctx, "changing a job", func(tx *sqlx.Tx) error {
		count, err := changed(tx.ExecContext(ctx, steerJobStatement, id, to, from))
		switch {
		case err != nil:
			return err
		case count == 0:
			return ErrJobState
		}
		if job, err = readJob(ctx, tx, id); err != nil {
			return err
		}
		record.Affected = job.Done
		return recordAudit(ctx, tx, record)
	})
	if errors.Is(err, ErrJobState) {
		record.Result, record.Detail = AuditRefused, "the job is "+string(job.State)
		err = errors.Join(fmt.Errorf("%w: it is %s", ErrJobState, job.State), db.RecordAudit(ctx, record))
	}
	if err != nil {
		return nil, err
	}
	return job, nil
}
