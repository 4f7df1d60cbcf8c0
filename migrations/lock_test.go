package migrations_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"chat-messaging/migrations"
)

// startStuckUp begins an Up that holds the schema's migration lock until
// release is called, and returns when it does.
func startStuckUp(t *testing.T, schema string) (release func() error) {
	t.Helper()
	db := openSchema(t, schema)
	// Up and down leave the table of versions; locked against writing, it
	// stops the next Up in the middle.
	if _, err := migrations.Up(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if _, err := migrations.DownTo(t.Context(), db, 0); err != nil {
		t.Fatal(err)
	}
	tx, err := openSchema(t, schema).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), `LOCK TABLE goose_db_version IN SHARE MODE`); err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() {
		_, err := migrations.Up(t.Context(), db)
		result <- err
	}()
	waitForBlockedWriter(t, openSchema(t, schema))
	return func() error {
		if err := tx.Rollback(); err != nil {
			return err
		}
		return <-result
	}
}

// waitForBlockedWriter returns once another session waits to write the table
// of versions of db's schema.
func waitForBlockedWriter(t *testing.T, db *sql.DB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		var blocked bool
		err := db.QueryRowContext(ctx, `SELECT EXISTS (
			SELECT FROM pg_locks WHERE relation = 'goose_db_version'::regclass AND NOT granted)`).Scan(&blocked)
		if err != nil {
			t.Fatalf("waiting for the first Up to get stuck: %v", err)
		}
		if blocked {
			return
		}
		<-poll.C
	}
}

func TestWaitingForTheLockIsBoundedByTheContext(t *testing.T) {
	t.Parallel()
	schema := newSchema(t)
	release := startStuckUp(t, schema)

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := migrations.Up(ctx, openSchema(t, schema)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Up while another one holds the lock: %v, want deadline exceeded", err)
	}
	if err := release(); err != nil {
		t.Errorf("the Up that held the lock: %v", err)
	}
}

func TestSchemasDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	release := startStuckUp(t, newSchema(t))

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := migrations.Up(ctx, openSchema(t, newSchema(t))); err != nil {
		t.Errorf("Up in another schema: %v", err)
	}
	if err := release(); err != nil {
		t.Errorf("the Up that held the lock: %v", err)
	}
}

func TestACancelledMigrationReleasesTheLock(t *testing.T) {
	t.Parallel()
	schema := newSchema(t)
	db := openSchema(t, schema)
	if _, err := migrations.Up(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if _, err := migrations.DownTo(t.Context(), db, 0); err != nil {
		t.Fatal(err)
	}
	blocker, err := openSchema(t, schema).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blocker.ExecContext(t.Context(), `LOCK TABLE goose_db_version IN SHARE MODE`); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := migrations.Up(ctx, db)
		result <- err
	}()
	waitForBlockedWriter(t, openSchema(t, schema))
	cancel()
	if err := <-result; err == nil {
		t.Fatal("the cancelled Up reported success")
	}
	if err := blocker.Rollback(); err != nil {
		t.Fatal(err)
	}

	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if done, err := migrations.Up(ctx, openSchema(t, schema)); err != nil || len(done) == 0 {
		t.Errorf("Up after a cancelled one: %+v, %v", done, err)
	}
}
