package queries

import (
	"context"
	"fmt"
	"time"
)

// lockIdleTimeout is how long a session with a lock may be silent. Its owner says
// something more often than that unless it hangs, or its machine does, and then
// somebody else is to have the lock. Keepalives do not tell: a process that is
// stopped has a kernel that answers for it.
const lockIdleTimeout = 15 * time.Second

// Before version 14 Postgres has no such setting, and the statement does nothing.
const lockIdleTimeoutStatement = `
SELECT set_config(name, $1, false) FROM pg_settings WHERE name = 'idle_session_timeout'`

const tryLockStatement = `SELECT pg_try_advisory_lock(hashtext($1), hashtext(current_schema()))`

// Lock is an advisory lock, held by a session of its own for as long as that
// session lives, which is as long as Check is called every few seconds. It serves
// one goroutine.
type Lock struct {
	session *session
}

// TryLock takes the schema's lock of that name, or returns nil if another
// session has it.
func (db *DB) TryLock(ctx context.Context, name string) (*Lock, error) {
	s, err := openLockedSession(ctx, db, "SELECT 1", name)
	if s == nil || err != nil {
		return nil, err
	}
	return &Lock{session: s}, nil
}

// openLockedSession opens a session that holds the lock; nil if another one has
// it. The lock is for the schema, so that several may share a database.
func openLockedSession(ctx context.Context, db *DB, settings, name string) (*session, error) {
	s, err := openSession(ctx, db, settings)
	if err != nil {
		return nil, err
	}
	if _, err := s.conn.ExecContext(ctx, lockIdleTimeoutStatement, fmt.Sprint(lockIdleTimeout.Milliseconds())); err != nil {
		s.close()
		return nil, fmt.Errorf("bounding the silence of the lock %q: %w", name, err)
	}
	var locked bool
	if err := s.conn.GetContext(ctx, &locked, tryLockStatement, name); err != nil {
		s.close()
		return nil, fmt.Errorf("taking the lock %q: %w", name, err)
	}
	if !locked {
		s.close()
		return nil, nil //nolint:nilnil // documented: somebody else has it
	}
	return s, nil
}

// Check returns an error if the session, and with it the lock, may be gone.
func (l *Lock) Check(ctx context.Context) error {
	if _, err := l.session.conn.ExecContext(ctx, "SELECT 1"); err != nil {
		return fmt.Errorf("checking a lock: %w", err)
	}
	return nil
}

// Close gives the lock back.
func (l *Lock) Close() {
	l.session.unlock()
	l.session.close()
}
