package migrations

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"
)

const (
	// lockRetry is how often a waiting replica looks again. It asks instead of
	// queueing in Postgres because a queued statement holds a snapshot, and a
	// migration that builds an index concurrently would wait for that one.
	lockRetry     = 100 * time.Millisecond
	unlockTimeout = 5 * time.Second
)

// sessionLock is a Postgres advisory lock held by one connection. Should the
// process die, the lock goes with its connection. It needs a real session: a
// pooler in transaction mode between us and Postgres breaks it.
type sessionLock struct {
	key int64
}

// SessionLock waits for the lock until ctx ends.
func (l sessionLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	retry := time.NewTicker(lockRetry)
	defer retry.Stop()
	for {
		var locked bool
		row := conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, l.key)
		if err := row.Scan(&locked); err != nil && ctx.Err() == nil {
			return fmt.Errorf("taking the migration lock: %w", err)
		}
		if locked {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for another process that is migrating: %w", ctx.Err())
		case <-retry.C:
		}
	}
}

// SessionUnlock releases the lock, if need be by ending the session.
func (l sessionLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, unlockTimeout)
	defer cancel()
	var unlocked bool
	row := conn.QueryRowContext(ctx, `SELECT pg_advisory_unlock($1)`, l.key)
	err := row.Scan(&unlocked)
	if err == nil && unlocked {
		return nil
	}
	// A connection that may still hold the lock must not go back to the pool:
	// every other replica would wait for as long as the pool keeps it.
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	if err != nil {
		return fmt.Errorf("releasing the migration lock: %w", err)
	}
	return nil
}
