package queries

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
)

// JobKind is what a job does with each entry.
type JobKind string

// The kinds.
const (
	// JobReplay publishes waiting entries to where they came from.
	JobReplay JobKind = "replay"
	// JobDiscard gives waiting entries up; their records stay for a while.
	JobDiscard JobKind = "discard"
	// JobPurge deletes the records of replayed and discarded entries.
	JobPurge JobKind = "purge"
)

// JobState is where a job is. Running, paused: open; the others are final.
type JobState string

// The states of jobs.
const (
	JobRunning   JobState = "running"
	JobPaused    JobState = "paused"
	JobDone      JobState = "done"
	JobFailed    JobState = "failed"
	JobCancelled JobState = "cancelled"
)

// Open tells whether the job is still to be worked on.
func (s JobState) Open() bool { return s == JobRunning || s == JobPaused }

// Job is something that is done to many poisoned messages.
type Job struct {
	ID     int64        `db:"id" json:"id"`
	Kind   JobKind      `db:"kind" json:"kind"`
	State  JobState     `db:"state" json:"state"`
	Filter PoisonFilter `db:"-" json:"selection"`
	// Bound is the newest entry that the preview saw.
	Bound int64 `db:"bound" json:"bound"`
	// Expected is how many entries the preview counted, Claimed how many were
	// taken so far; of these Done and Failed are settled. Claimed stays below
	// Expected if somebody else was faster.
	Expected int64 `db:"expected" json:"expected"`
	Claimed  int64 `db:"claimed" json:"claimed"`
	Done     int64 `db:"done" json:"done"`
	Failed   int64 `db:"failed" json:"failed"`
	// Returned is how many of the replayed messages have come back.
	Returned int64 `db:"returned" json:"returned"`
	// Rate is in messages a second; 0 is as fast as possible.
	Rate int `db:"rate" json:"rate"`
	// MaxAttempts: an entry that was replayed as often is left out, unless Forced.
	MaxAttempts int    `db:"max_attempts" json:"max_attempts"`
	Forced      bool   `db:"forced" json:"forced"`
	Reason      string `db:"reason" json:"reason"` // of a discard
	Who         string `db:"who" json:"who"`
	Via         string `db:"via" json:"via"`
	// Error is why it failed, or why it does not get on at the moment.
	Error      string     `db:"error" json:"error"`
	CreatedAt  time.Time  `db:"created_at" json:"created_at"`
	UpdatedAt  time.Time  `db:"updated_at" json:"updated_at"`
	FinishedAt *time.Time `db:"finished_at" json:"finished_at"`
}

// Remaining is how many of the expected entries are not settled.
func (j *Job) Remaining() int64 { return max(j.Expected-j.Done-j.Failed, 0) }

// jobRow is a job as it is read.
type jobRow struct {
	Job
	Selection []byte `db:"selection"`
}

func (r *jobRow) job() (Job, error) {
	if err := json.Unmarshal(r.Selection, &r.Filter); err != nil {
		return Job{}, fmt.Errorf("reading the selection of job %d: %w", r.ID, err)
	}
	utc(&r.CreatedAt)
	utc(&r.UpdatedAt)
	utc(r.FinishedAt)
	return r.Job, nil
}

// NewJob is what a job is made of.
type NewJob struct {
	Kind   JobKind
	Filter PoisonFilter
	// Bound is that of the preview that was agreed to. 0 takes what is there now.
	Bound int64
	// Expected, if it is not nil, is the count that was agreed to: if there are
	// more entries by now nothing is done.
	Expected    *int64
	Rate        int
	MaxAttempts int // 0 is DefaultMaxAttempts
	Forced      bool
	Reason      string
	By          Operator
}

// DefaultMaxAttempts is how often a message is replayed before somebody has to
// insist.
const DefaultMaxAttempts = 3

// Why a job is not made.
var (
	// ErrNothingMatches: the filter selects no entry that the job could take.
	ErrNothingMatches = errors.New("nothing matches")
	// ErrSelectionChanged: there are more entries than were agreed to.
	ErrSelectionChanged = errors.New("more messages match by now than were agreed to")
	// ErrInvalidJob: the request makes no sense; the text says why.
	ErrInvalidJob = errors.New("invalid job")
)

func (n *NewJob) complete() error {
	if n.MaxAttempts == 0 {
		n.MaxAttempts = DefaultMaxAttempts
	}
	switch {
	case n.Kind != JobReplay && n.Kind != JobDiscard && n.Kind != JobPurge:
		return fmt.Errorf("%w: there is no kind %.40q", ErrInvalidJob, n.Kind)
	case n.Rate < 0:
		return fmt.Errorf("%w: the rate is negative", ErrInvalidJob)
	case n.MaxAttempts < 1:
		return fmt.Errorf("%w: the highest number of attempts is not positive", ErrInvalidJob)
	case n.Kind == JobDiscard && n.Reason == "":
		return fmt.Errorf("%w: a discard needs a reason", ErrInvalidJob)
	case n.By.Who == "":
		return fmt.Errorf("%w: nobody asks for it", ErrInvalidJob)
	}
	n.Filter = jobFilter(n.Kind, n.Filter)
	return nil
}

// jobFilter is the filter with the states that the kind of job works on.
func jobFilter(kind JobKind, f PoisonFilter) PoisonFilter {
	if kind != JobPurge {
		return f.Waiting()
	}
	var settled []PoisonState
	for _, s := range f.States {
		if s == PoisonReplayed || s == PoisonDiscarded {
			settled = append(settled, s)
		}
	}
	if len(settled) == 0 {
		settled = []PoisonState{PoisonReplayed, PoisonDiscarded}
	}
	f.States = settled
	return f
}

const insertJobStatement = `
INSERT INTO poison_jobs (kind, selection, bound, expected, rate, max_attempts, forced, reason, who, via)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
RETURNING id`

// CreateJob makes a job, counted and audited in one transaction. It returns
// ErrNothingMatches, ErrSelectionChanged or ErrInvalidJob where there is nothing
// to do; those are audited as refused.
func (db *DB) CreateJob(ctx context.Context, n NewJob) (*Job, error) {
	if err := n.complete(); err != nil {
		return nil, err
	}
	var id int64
	err := db.atLength(ctx, "making a job", func(tx *sqlx.Tx) error {
		preview, err := previewPoison(ctx, tx, n.Kind, n.Filter, n.Bound, n.MaxAttempts, n.Forced)
		switch {
		case err != nil:
			return err
		case preview.Count == 0:
			return ErrNothingMatches
		case n.Expected != nil && preview.Count > *n.Expected:
			return fmt.Errorf("%w: %d, not %d", ErrSelectionChanged, preview.Count, *n.Expected)
		}
		if err := tx.GetContext(ctx, &id, insertJobStatement, n.Kind, n.Filter.selection(), preview.Bound, preview.Count,
			n.Rate, n.MaxAttempts, n.Forced, storable(n.Reason), storable(n.By.Who), storable(n.By.Via)); err != nil {
			return err
		}
		return recordAudit(ctx, tx, n.audit(AuditStarted, preview.Count, "", &id))
	})
	if errors.Is(err, ErrNothingMatches) || errors.Is(err, ErrSelectionChanged) {
		if auditErr := db.RecordAudit(ctx, n.audit(AuditRefused, 0, refusal(err), nil)); auditErr != nil {
			return nil, errors.Join(err, auditErr)
		}
	}
	if err != nil {
		return nil, err
	}
	return db.Job(ctx, id)
}

// refusal is the sentence of the refusal without what was being done.
func refusal(err error) string {
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	return err.Error()
}

func (n *NewJob) audit(result AuditResult, count int64, detail string, id *int64) AuditRecord {
	if detail == "" {
		detail = n.Reason
	}
	return AuditRecord{
		Who: n.By.Who, Via: n.By.Via, Action: "poison." + string(n.Kind), Selection: json.RawMessage(n.Filter.selection()),
		Affected: count, Result: result, Detail: detail, JobID: id,
	}
}

const (
	jobColumns = `
       j.id, j.kind, j.state, j.selection, j.bound, j.expected, j.claimed, j.done, j.failed,
       (SELECT count(*) FROM poison_attempts AS a WHERE a.job_id = j.id AND a.returned_at IS NOT NULL) AS returned,
       j.rate, j.max_attempts, j.forced, j.reason, j.who, j.via, j.error, j.created_at, j.updated_at, j.finished_at`
	jobStatement = `
SELECT` + jobColumns + `
FROM poison_jobs AS j
WHERE j.id = $1`
	listJobsStatement = `
SELECT` + jobColumns + `
FROM poison_jobs AS j
WHERE j.id < $1 AND ($2::bool IS NOT TRUE OR j.state IN ('running', 'paused'))
ORDER BY j.id DESC
LIMIT $3`
)

// Job returns a job, or ErrNotFound.
func (db *DB) Job(ctx context.Context, id int64) (*Job, error) {
	return readJob(ctx, db.DB, id)
}

func readJob(ctx context.Context, from sqlx.QueryerContext, id int64) (*Job, error) {
	var row jobRow
	err := sqlx.GetContext(ctx, from, &row, jobStatement, id)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("reading a job: %w", err)
	}
	job, err := row.job()
	return &job, err
}

// ListJobs returns jobs, the newest first, at most limit of them (50 if it is 0),
// with an id below before; 0 starts at the newest. next is what to pass as before
// for the following page, 0 if there is none.
func (db *DB) ListJobs(ctx context.Context, openOnly bool, before int64, limit int) (jobs []Job, next int64, err error) {
	if before <= 0 {
		before = 1<<63 - 1
	}
	limit = PoisonFilter{Limit: limit}.pageLimit()
	var rows []jobRow
	if err := db.SelectContext(ctx, &rows, listJobsStatement, before, openOnly, limit+1); err != nil {
		return nil, 0, fmt.Errorf("listing jobs: %w", err)
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].ID
	}
	jobs = make([]Job, 0, len(rows))
	for i := range rows {
		job, err := rows[i].job()
		if err != nil {
			return nil, 0, err
		}
		jobs = append(jobs, job)
	}
	return jobs, next, nil
}
