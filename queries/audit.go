package queries

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
)

// AuditResult is how an action ended.
type AuditResult string

// The results.
const (
	AuditDone AuditResult = "done"
	// AuditPartly: some of what was selected could not be done.
	AuditPartly AuditResult = "partly"
	AuditFailed AuditResult = "failed"
	// AuditRefused: it was not allowed, or not possible.
	AuditRefused AuditResult = "refused"
	// AuditStarted: a job was begun; another record tells of its end.
	AuditStarted AuditResult = "started"
)

// Operator is who acts, and by which way: cli, rest, console or service.
type Operator struct {
	Who string
	Via string
}

// AuditRecord is one action of an operator.
type AuditRecord struct {
	ID  int64     `db:"id" json:"id"`
	At  time.Time `db:"at" json:"at"`
	Who string    `db:"who" json:"who"`
	Via string    `db:"via" json:"via"`
	// Action is object and verb, such as poison.replay or login.
	Action string `db:"action" json:"action"`
	// Selection is what it was about, as JSON; of a PoisonFilter its fields.
	// Never content of messages.
	Selection json.RawMessage `db:"selection" json:"selection"`
	// Affected is how many messages, or other things, it changed or showed.
	Affected int64       `db:"affected" json:"count"`
	Result   AuditResult `db:"result" json:"result"`
	Detail   string      `db:"detail" json:"detail"`
	JobID    *int64      `db:"job_id" json:"job_id"`
}

const insertAuditStatement = `
INSERT INTO audit (who, via, action, selection, affected, result, detail, job_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`

// RecordAudit writes a record; ID and At are the database's.
func (db *DB) RecordAudit(ctx context.Context, r AuditRecord) error {
	return recordAudit(ctx, db.DB, r)
}

func recordAudit(ctx context.Context, to sqlx.ExecerContext, r AuditRecord) error {
	selection := "{}"
	if len(r.Selection) > 0 {
		selection = string(r.Selection)
	}
	_, err := to.ExecContext(ctx, insertAuditStatement, storable(r.Who), storable(r.Via), storable(r.Action), selection,
		r.Affected, r.Result, storable(r.Detail), r.JobID)
	if err != nil {
		return fmt.Errorf("recording the action: %w", err)
	}
	return nil
}

// AuditFilter selects records. The zero value selects all.
type AuditFilter struct {
	Who    string
	Action string // or the beginning of it: poison selects poison.replay too
	JobID  int64
	Since  time.Time
	Until  time.Time
	// Before starts below this id; 0 starts at the newest.
	Before int64
	// Limit of a page: 50 by default, at most 1000.
	Limit int
}

const listAuditStatement = `
SELECT id, at, who, via, action, selection, affected, result, detail, job_id
FROM audit
WHERE id < $1
  AND ($2::text IS NULL OR who = $2)
  AND ($3::text IS NULL OR starts_with(action, $3))
  AND ($4::int8 IS NULL OR job_id = $4)
  AND ($5::timestamptz IS NULL OR at >= $5)
  AND ($6::timestamptz IS NULL OR at < $6)
ORDER BY id DESC
LIMIT $7`

// ListAudit returns records, the newest first, and what to pass as Before for the
// following page; 0 if there is none.
func (db *DB) ListAudit(ctx context.Context, f AuditFilter) (records []AuditRecord, next int64, err error) {
	before := f.Before
	if before <= 0 {
		before = 1<<63 - 1
	}
	limit := PoisonFilter{Limit: f.Limit}.pageLimit()
	records = []AuditRecord{}
	err = db.SelectContext(ctx, &records, listAuditStatement, before, nullIfZero(f.Who), nullIfZero(f.Action), nullIfZero(f.JobID),
		nullTime(f.Since), nullTime(f.Until), limit+1)
	if err != nil {
		return nil, 0, fmt.Errorf("reading the audit: %w", err)
	}
	if len(records) > limit {
		records = records[:limit]
		next = records[limit-1].ID
	}
	for i := range records {
		records[i].At = records[i].At.UTC()
	}
	return records, next, nil
}
