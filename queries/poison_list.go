package queries

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"
)

// Each state, and each reason that is asked for, is a run of an index that is
// read from its end: a page costs the same however many entries there are. The run
// is written as a range, because with an equality the order by id alone would do,
// and the planner would go through the primary key, past all entries of other
// states.
const (
	listPoisonedStatement = `
SELECT e.*
FROM unnest($10::text[]) AS s (state)
CROSS JOIN LATERAL (
    SELECT` + poisonColumns + `
    FROM poisoned AS p
    WHERE (p.state, p.id) < (s.state, $11::int8) AND p.state >= s.state AND ` + poisonCondition + `
    ORDER BY p.state DESC, p.id DESC
    LIMIT $12
) AS e
ORDER BY e.id DESC
LIMIT $12`
	listPoisonedByReasonStatement = `
SELECT e.*
FROM unnest($10::text[]) AS s (state)
CROSS JOIN unnest($1::text[]) AS c (code)
CROSS JOIN LATERAL (
    SELECT` + poisonColumns + `
    FROM poisoned AS p
    WHERE (p.state, p.code, p.id) < (s.state, c.code, $11::int8) AND (p.state, p.code) >= (s.state, c.code) AND ` + poisonCondition + `
    ORDER BY p.state DESC, p.code DESC, p.id DESC
    LIMIT $12
) AS e
ORDER BY e.id DESC
LIMIT $12`
)

// PoisonPage is a page of a list, the newest entry first.
type PoisonPage struct {
	Entries []Poisoned
	// Next is what to pass as before for the following page; 0 if there is none.
	Next int64
}

// ListPoisoned returns the entries that the filter selects, the newest first, at
// most Limit of them (50 by default, at most 1000), with an id below before; 0
// starts at the newest.
func (db *DB) ListPoisoned(ctx context.Context, f PoisonFilter, before int64) (PoisonPage, error) {
	if before <= 0 {
		before = 1<<63 - 1
	}
	statement := listPoisonedStatement
	if len(f.Reasons) > 0 {
		statement = listPoisonedByReasonStatement
	}
	limit := f.pageLimit()
	page := PoisonPage{Entries: []Poisoned{}}
	args := append(f.args(), f.states(), before, limit+1)
	err := db.transact(ctx, "listing poisoned messages", func(tx *sqlx.Tx) error {
		page.Entries = []Poisoned{}
		return tx.SelectContext(ctx, &page.Entries, statement, args...)
	})
	if err != nil {
		return PoisonPage{}, err
	}
	if len(page.Entries) > limit {
		page.Entries = page.Entries[:limit]
		page.Next = page.Entries[limit-1].ID
	}
	for i := range page.Entries {
		page.Entries[i].inUTC()
	}
	return page, nil
}

// PoisonGroup is the entries of one state that have one reason.
type PoisonGroup struct {
	State     PoisonState `db:"state" json:"state"`
	Code      string      `db:"code" json:"reason"`
	Stage     string      `db:"stage" json:"stage"`
	Entries   int64       `db:"entries" json:"count"`
	FirstSeen *time.Time  `db:"first_seen" json:"first_seen"`
	LastSeen  *time.Time  `db:"last_seen" json:"last_seen"`
}

const (
	// The counts are kept by triggers, and each end of a group's time is one
	// descent of an index.
	poisonGroupsStatement = `
SELECT g.state, g.code, g.stage, g.entries,
       (SELECT min(p.first_seen) FROM poisoned AS p WHERE p.state = g.state AND p.code = g.code AND p.stage = g.stage) AS first_seen,
       (SELECT max(p.last_seen) FROM poisoned AS p WHERE p.state = g.state AND p.code = g.code AND p.stage = g.stage) AS last_seen
FROM poison_groups AS g
WHERE g.entries > 0 AND g.state = ANY ($1::text[])
  AND ($2::text[] IS NULL OR g.code = ANY ($2))
  AND ($3::text[] IS NULL OR g.stage = ANY ($3))
ORDER BY g.entries DESC, g.code, g.stage, g.state`
	filteredPoisonGroupsStatement = `
SELECT p.state, p.code, p.stage, count(*) AS entries, min(p.first_seen) AS first_seen, max(p.last_seen) AS last_seen
FROM poisoned AS p
WHERE p.state = ANY ($10::text[]) AND ` + poisonCondition + `
GROUP BY p.state, p.code, p.stage
ORDER BY entries DESC, p.code, p.stage, p.state`
)

// PoisonGroups returns the groups of what the filter selects, the largest first.
// Its Limit is not looked at. A filter of states, reasons and stages alone costs
// nothing worth mentioning; any other looks at the entries.
func (db *DB) PoisonGroups(ctx context.Context, f PoisonFilter) ([]PoisonGroup, error) {
	groups := []PoisonGroup{}
	var err error
	if f.IsGroup() {
		args := f.args()
		err = db.SelectContext(ctx, &groups, poisonGroupsStatement, f.states(), args[0], args[1])
	} else {
		err = db.atLength(ctx, "looking at the entries", func(tx *sqlx.Tx) error {
			return tx.SelectContext(ctx, &groups, filteredPoisonGroupsStatement, append(f.args(), f.states())...)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("grouping poisoned messages: %w", err)
	}
	for i := range groups {
		utc(groups[i].FirstSeen)
		utc(groups[i].LastSeen)
	}
	return groups, nil
}

const (
	poisonedMessageStatement = `
SELECT` + poisonColumns + `, p.properties, p.headers, p.body, p.edited_body
FROM poisoned AS p
WHERE p.id = $1`
	poisonAttemptsStatement = `
SELECT attempt, job_id, edited, claimed_at, confirmed_at, error, returned_at, code, stage, detail
FROM poison_attempts
WHERE poisoned_id = $1
ORDER BY attempt`
)

// PoisonedMessage returns one entry with all that it holds, and its history. It
// returns ErrNotFound if there is no such entry.
func (db *DB) PoisonedMessage(ctx context.Context, id int64) (*PoisonedMessage, []PoisonAttempt, error) {
	m := &PoisonedMessage{}
	err := db.GetContext(ctx, m, poisonedMessageStatement, id)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading a poisoned message: %w", err)
	}
	m.inUTC()
	history := []PoisonAttempt{}
	if err := db.SelectContext(ctx, &history, poisonAttemptsStatement, id); err != nil {
		return nil, nil, fmt.Errorf("reading the history of a poisoned message: %w", err)
	}
	for i := range history {
		utc(history[i].ClaimedAt)
		utc(history[i].ConfirmedAt)
		utc(history[i].ReturnedAt)
	}
	return m, history, nil
}

const exportPoisonedStatement = `
SELECT` + poisonColumns + `, p.properties, p.headers, p.body, p.edited_body
FROM poisoned AS p
WHERE p.state = ANY ($10::text[]) AND p.id > $11 AND ` + poisonCondition + `
ORDER BY p.id
LIMIT $12`

// ReadPoisoned returns entries with all that they hold, the oldest first, at most
// limit of them, with an id above after. Pages of it are an export.
func (db *DB) ReadPoisoned(ctx context.Context, f PoisonFilter, after int64, limit int) ([]PoisonedMessage, error) {
	var list []PoisonedMessage
	err := db.atLength(ctx, "reading poisoned messages", func(tx *sqlx.Tx) error {
		list = nil
		return tx.SelectContext(ctx, &list, exportPoisonedStatement, append(f.args(), f.states(), after, limit)...)
	})
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].inUTC()
	}
	return list, nil
}

const poisonReasonsStatement = `SELECT DISTINCT code FROM poison_groups WHERE entries > 0 ORDER BY code`

// PoisonReasons returns the reasons that entries have.
func (db *DB) PoisonReasons(ctx context.Context) ([]string, error) {
	var codes []string
	if err := db.SelectContext(ctx, &codes, poisonReasonsStatement); err != nil {
		return nil, fmt.Errorf("reading the reasons: %w", err)
	}
	return slices.Clip(codes), nil
}

// inUTC makes the times UTC: the driver gives them in the session's zone.
func (p *Poisoned) inUTC() {
	for _, t := range []*time.Time{&p.FirstSeen, &p.LastSeen, &p.CollectedAt, p.EditedAt, p.SettledAt} {
		utc(t)
	}
}

func utc(t *time.Time) {
	if t != nil {
		*t = t.UTC()
	}
}
