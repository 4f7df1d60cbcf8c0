package migrations

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"time"
)

// State is one migration as the database sees it.
type State struct {
	Version   int64
	Name      string    // the file's name, empty when a newer build applied it
	AppliedAt time.Time // zero while it is pending
}

// Status lists the embedded migrations and those that a newer build has
// applied, by version. It only reads.
func Status(ctx context.Context, db *sql.DB) ([]State, error) {
	h, err := readHistory(ctx, db)
	if err != nil {
		return nil, err
	}
	known := maps.Clone(h.names)
	for version := range h.appliedAt {
		if _, ok := known[version]; !ok {
			known[version] = ""
		}
	}
	states := make([]State, 0, len(known))
	for _, version := range slices.Sorted(maps.Keys(known)) {
		states = append(states, State{
			Version:   version,
			Name:      known[version],
			AppliedAt: h.appliedAt[version],
		})
	}
	return states, nil
}

// Pending counts the embedded migrations that are not applied. It only reads,
// so readiness checks may call it with a role that cannot write.
func Pending(ctx context.Context, db *sql.DB) (int, error) {
	h, err := readHistory(ctx, db)
	if err != nil {
		return 0, err
	}
	return len(h.pending()), nil
}
