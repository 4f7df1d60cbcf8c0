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

// Consumption says whether a queue is consumed, and who said so.
type Consumption struct {
	Queue  string `db:"queue"`
	Paused bool   `db:"paused"`
	// ChangedAt, ChangedBy and Reason are of the last change; zero for a queue
	// that was never paused.
	ChangedAt time.Time `db:"changed_at"`
	ChangedBy string    `db:"changed_by"`
	Reason    string    `db:"reason"`
}

const consumptionStatement = `SELECT queue, paused, changed_at, changed_by, reason FROM consumption WHERE queue = $1`

// Consumption reads whether the queue is consumed. Every instance asks every
// second, so it is one look into a table of a few rows.
func (db *DB) Consumption(ctx context.Context, queue string) (Consumption, error) {
	return readConsumption(ctx, db, queue)
}

func readConsumption(ctx context.Context, from sqlx.QueryerContext, queue string) (Consumption, error) {
	c := Consumption{Queue: queue}
	err := sqlx.GetContext(ctx, from, &c, consumptionStatement, queue)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Consumption{}, fmt.Errorf("reading whether the queue is paused: %w", err)
	}
	if !c.ChangedAt.IsZero() {
		c.ChangedAt = c.ChangedAt.UTC()
	}
	return c, nil
}

// Pausing what is paused changes nothing: who did it first, and why, stays.
const (
	pauseStatement = `
INSERT INTO consumption (queue, paused, changed_by, reason)
VALUES ($1, true, $2, $3)
ON CONFLICT (queue) DO UPDATE
SET paused = true, changed_at = now(), changed_by = excluded.changed_by, reason = excluded.reason
WHERE NOT consumption.paused`
	resumeStatement = `
UPDATE consumption SET paused = false, changed_at = now(), changed_by = $2, reason = $3
WHERE queue = $1 AND paused`
)

// SetConsumption pauses or resumes the queue and returns how it is afterwards.
// changed is false if it was so before. Either way the audit knows who asked.
func (db *DB) SetConsumption(ctx context.Context, queue string, paused bool, by Operator, reason string) (c Consumption, changed bool, err error) {
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return Consumption{}, false, fmt.Errorf("changing whether the queue is paused: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	statement, action := resumeStatement, "consumption.resume"
	if paused {
		statement, action = pauseStatement, "consumption.pause"
	}
	result, err := tx.ExecContext(ctx, statement, queue, storable(by.Who), storable(reason))
	if err != nil {
		return Consumption{}, false, fmt.Errorf("changing whether the queue is paused: %w", err)
	}
	rows, err := result.RowsAffected()
	if err != nil {
		return Consumption{}, false, fmt.Errorf("changing whether the queue is paused: %w", err)
	}
	selection, err := json.Marshal(map[string]string{"queue": queue})
	if err != nil {
		return Consumption{}, false, fmt.Errorf("changing whether the queue is paused: %w", err)
	}
	if err := recordAudit(ctx, tx, AuditRecord{
		Who: by.Who, Via: by.Via, Action: action, Selection: selection, Affected: rows, Result: AuditDone, Detail: reason,
	}); err != nil {
		return Consumption{}, false, err
	}
	if c, err = readConsumption(ctx, tx, queue); err != nil {
		return Consumption{}, false, err
	}
	if err := tx.Commit(); err != nil {
		return Consumption{}, false, fmt.Errorf("changing whether the queue is paused: %w", err)
	}
	return c, rows > 0, nil
}
