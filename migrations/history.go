package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"time"
)

const latest = int64(math.MaxInt64)

// ErrUnknownVersion is returned when a version is asked for, or would have to
// be rolled back, that is not among the embedded migrations.
var ErrUnknownVersion = errors.New("this build has no such migration")

// history is what the database says was applied, beside what this build has.
type history struct {
	lockKey   int64
	names     map[int64]string
	appliedAt map[int64]time.Time
}

// The lock's key is made from the schema, so that services in different
// schemas of a database do not wait for each other. The table is looked for
// in the first schema only: one further down the search path is not ours.
const schemaSQL = `
SELECT coalesce(current_schema(), ''),
       hashtextextended('chat-messaging migrations of ' || coalesce(current_schema(), ''), 0),
       EXISTS (SELECT FROM pg_catalog.pg_tables
               WHERE schemaname = current_schema() AND tablename = 'goose_db_version')`

// goose stores the time without its zone, in that of the session.
const appliedSQL = `
SELECT version_id, max(tstamp) AT TIME ZONE current_setting('TimeZone')
FROM goose_db_version
WHERE version_id > 0 AND is_applied
GROUP BY version_id`

func readHistory(ctx context.Context, db *sql.DB) (history, error) {
	if db == nil {
		return history{}, errors.New("reading the migration history: db is nil")
	}
	h := history{appliedAt: map[int64]time.Time{}}
	var err error
	if h.names, err = embedded(db); err != nil {
		return history{}, err
	}
	var schema string
	var migrated bool
	if err := db.QueryRowContext(ctx, schemaSQL).Scan(&schema, &h.lockKey, &migrated); err != nil {
		return history{}, fmt.Errorf("finding the schema to migrate: %w", err)
	}
	if schema == "" {
		return history{}, errors.New("finding the schema to migrate: no schema on the search_path exists")
	}
	if !migrated {
		return h, nil
	}
	rows, err := db.QueryContext(ctx, appliedSQL)
	if err != nil {
		return history{}, fmt.Errorf("reading the migration history: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var version int64
		var at time.Time
		if err := rows.Scan(&version, &at); err != nil {
			return history{}, fmt.Errorf("reading the migration history: %w", err)
		}
		h.appliedAt[version] = at
	}
	if err := rows.Err(); err != nil {
		return history{}, fmt.Errorf("reading the migration history: %w", err)
	}
	return h, nil
}

// embedded returns the file names by version.
func embedded(db *sql.DB) (map[int64]string, error) {
	provider, err := newProvider(db)
	if err != nil {
		return nil, err
	}
	names := map[int64]string{}
	for _, source := range provider.ListSources() {
		names[source.Version] = path.Base(source.Path)
	}
	return names, nil
}

func (h history) pending() []int64 {
	var versions []int64
	for version := range h.names {
		if _, ok := h.appliedAt[version]; !ok {
			versions = append(versions, version)
		}
	}
	slices.Sort(versions)
	return versions
}

// pendingUpTo refuses to fill a gap below an applied version: the newer
// migration has run without the older, and nobody has tested that order.
func (h history) pendingUpTo(version int64) ([]int64, error) {
	if _, ok := h.names[version]; !ok && version != latest {
		return nil, fmt.Errorf("migrating up to version %d: %w", version, ErrUnknownVersion)
	}
	var versions []int64
	for _, v := range h.pending() {
		if v > version {
			break
		}
		if v < h.newest() {
			return nil, fmt.Errorf("migration %d is pending below the applied version %d: "+
				"the database was migrated by a build with other migrations", v, h.newest())
		}
		versions = append(versions, v)
	}
	return versions, nil
}

// checkDownTo makes sure that this build can undo all that is asked for
// before anything is undone.
func (h history) checkDownTo(version int64) error {
	if _, ok := h.names[version]; !ok && version != 0 {
		return fmt.Errorf("rolling back to version %d: %w", version, ErrUnknownVersion)
	}
	for v := range h.appliedAt {
		if _, ok := h.names[v]; !ok && v > version {
			return fmt.Errorf("rolling back version %d, applied by a newer build: %w", v, ErrUnknownVersion)
		}
	}
	return nil
}

// newest is the highest applied version, 0 when there is none.
func (h history) newest() int64 {
	var newest int64
	for version := range h.appliedAt {
		newest = max(newest, version)
	}
	return newest
}

// beforeNewest is the version that one step down leads to.
func (h history) beforeNewest() int64 {
	newest, before := h.newest(), int64(0)
	for version := range h.appliedAt {
		if version < newest {
			before = max(before, version)
		}
	}
	return before
}
