package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed *.sql
var files embed.FS

// Applied is one migration that was applied or rolled back just now.
type Applied struct {
	Version int64
	Name    string // the file's name
	Took    time.Duration
}

// Up applies every pending migration, each in a transaction of its own, and
// returns those that this call applied. Nothing pending is not an error and
// takes no lock.
//
// Any number of processes may call it at once: they take turns under a lock
// of the schema, and what another one has applied meanwhile is left alone.
// ctx bounds the wait for the lock as well as the work. On an error the
// returned list holds what was applied before it.
func Up(ctx context.Context, db *sql.DB) ([]Applied, error) {
	return up(ctx, db, latest)
}

// UpTo is Up as far as the version, which must be one of the embedded ones.
func UpTo(ctx context.Context, db *sql.DB, version int64) ([]Applied, error) {
	return up(ctx, db, version)
}

// Down rolls the newest applied migration back, with the data in its tables.
// Nothing to roll back is not an error.
func Down(ctx context.Context, db *sql.DB) ([]Applied, error) {
	h, err := readHistory(ctx, db)
	if err != nil {
		return nil, err
	}
	return h.downTo(ctx, db, h.beforeNewest())
}

// DownTo rolls back every migration above the version, newest first; 0 rolls
// all of them back.
func DownTo(ctx context.Context, db *sql.DB, version int64) ([]Applied, error) {
	h, err := readHistory(ctx, db)
	if err != nil {
		return nil, err
	}
	return h.downTo(ctx, db, version)
}

func up(ctx context.Context, db *sql.DB, version int64) ([]Applied, error) {
	h, err := readHistory(ctx, db)
	if err != nil {
		return nil, err
	}
	pending, err := h.pendingUpTo(version)
	if err != nil || len(pending) == 0 {
		return nil, err
	}
	provider, err := newProvider(db, goose.WithSessionLocker(sessionLock{key: h.lockKey}))
	if err != nil {
		return nil, err
	}
	// One version at a time instead of the provider's Up: that one looks for
	// pending work before it takes the lock, and creates its table doing so.
	var done []Applied
	for _, v := range pending {
		result, err := provider.ApplyVersion(ctx, v, true)
		if errors.Is(err, goose.ErrAlreadyApplied) {
			continue
		}
		if err != nil {
			return done, fmt.Errorf("applying migration %d: %w", v, cause(err))
		}
		done = append(done, applied(result))
	}
	return done, nil
}

func (h history) downTo(ctx context.Context, db *sql.DB, version int64) ([]Applied, error) {
	if err := h.checkDownTo(version); err != nil {
		return nil, err
	}
	if h.newest() <= version {
		return nil, nil
	}
	provider, err := newProvider(db, goose.WithSessionLocker(sessionLock{key: h.lockKey}))
	if err != nil {
		return nil, err
	}
	results, err := provider.DownTo(ctx, version)
	if err != nil {
		if partial, ok := errors.AsType[*goose.PartialError](err); ok {
			results = partial.Applied
		}
		err = fmt.Errorf("rolling back to version %d: %w", version, cause(err))
	}
	done := make([]Applied, 0, len(results))
	for _, result := range results {
		done = append(done, applied(result))
	}
	return done, err
}

// newProvider never consults goose's global registry, so nothing outside this
// package can add a migration.
func newProvider(db *sql.DB, options ...goose.ProviderOption) (*goose.Provider, error) {
	options = append(options, goose.WithDisableGlobalRegistry(true))
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, options...)
	if err != nil {
		return nil, fmt.Errorf("reading the embedded migrations: %w", err)
	}
	return provider, nil
}

func applied(result *goose.MigrationResult) Applied {
	return Applied{
		Version: result.Source.Version,
		Name:    path.Base(result.Source.Path),
		Took:    result.Duration,
	}
}

// cause takes goose's wrapping off, which repeats the version and says less
// than ours.
func cause(err error) error {
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		return fmt.Errorf("%s: %w", path.Base(partial.Failed.Source.Path), partial.Err)
	}
	return err
}
