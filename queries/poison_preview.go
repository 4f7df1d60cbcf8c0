package queries

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"
)

// PoisonPreview is what a job would do.
type PoisonPreview struct {
	// Count is how many entries it would take.
	Count int64 `db:"count" json:"count"`
	// Looping is how many of the selection were replayed as often as is allowed,
	// and are left out; Returned is how many of Count have come back before.
	Looping  int64 `db:"looping" json:"looping"`
	Returned int64 `db:"returned" json:"returned"`
	// Edited is how many of Count would go out with an edited body.
	Edited int64 `db:"edited" json:"edited"`
	// Chats is how many chats they are from, those that name none as one.
	Chats int64 `db:"chats" json:"chats"`
	// Bound is the newest entry there is: pass it on, and the job takes no other
	// entries than these.
	Bound int64 `db:"bound" json:"bound"`
}

const (
	poisonBoundStatement = `SELECT COALESCE(max(id), 0) FROM poisoned`
	// An entry that may not be replayed again does not count against the limit.
	poisonPreviewStatement = `
SELECT count(*) FILTER (WHERE NOT m.looping) AS count,
       count(*) FILTER (WHERE m.looping) AS looping,
       count(*) FILTER (WHERE NOT m.looping AND m.returned > 0) AS returned,
       count(*) FILTER (WHERE NOT m.looping AND m.edited) AS edited,
       count(DISTINCT m.chat_id) FILTER (WHERE NOT m.looping) AS chats
FROM (
    (SELECT false AS looping, p.returned, p.edited_at IS NOT NULL AS edited, p.chat_id
     FROM poisoned AS p
     WHERE p.state = ANY ($10::text[]) AND p.id <= $11 AND p.attempts < $12 AND ` + poisonCondition + `
     ORDER BY p.first_seen, p.sequence, p.id
     LIMIT $13)
    UNION ALL
    SELECT true, p.returned, false, p.chat_id
    FROM poisoned AS p
    WHERE p.state = ANY ($10::text[]) AND p.id <= $11 AND p.attempts >= $12 AND ` + poisonCondition + `
) AS m`
)

// PreviewPoison counts what a job would take, exactly.
func (db *DB) PreviewPoison(ctx context.Context, kind JobKind, f PoisonFilter, maxAttempts int, forced bool) (PoisonPreview, error) {
	if maxAttempts == 0 {
		maxAttempts = DefaultMaxAttempts
	}
	var preview PoisonPreview
	err := db.atLength(ctx, "counting the selection", func(tx *sqlx.Tx) (err error) {
		preview, err = previewPoison(ctx, tx, kind, jobFilter(kind, f), 0, maxAttempts, forced)
		return err
	})
	return preview, err
}

func previewPoison(ctx context.Context, tx *sqlx.Tx, kind JobKind, f PoisonFilter, bound int64, maxAttempts int, forced bool) (PoisonPreview, error) {
	var preview PoisonPreview
	if bound == 0 {
		if err := tx.GetContext(ctx, &bound, poisonBoundStatement); err != nil {
			return preview, fmt.Errorf("finding the newest entry: %w", err)
		}
	}
	args := append(f.args(), f.states(), bound, attemptsBelow(kind, maxAttempts, forced), nullIfZero(f.Limit))
	if err := tx.GetContext(ctx, &preview, poisonPreviewStatement, args...); err != nil {
		return preview, fmt.Errorf("counting: %w", err)
	}
	preview.Bound = bound
	return preview, nil
}

// attemptsBelow is the number of attempts from which on a job leaves entries out.
func attemptsBelow(kind JobKind, maxAttempts int, forced bool) int {
	if kind != JobReplay || forced {
		return 1<<31 - 1
	}
	return maxAttempts
}
