// Package queriestest gives each test a schema of its own on a real Postgres.
package queriestest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"chat-messaging/migrations"
	"chat-messaging/queries"
)

// ServerURL is the Postgres that tests use: DATABASE_URL, else the local one.
func ServerURL() string {
	if given := os.Getenv("DATABASE_URL"); given != "" {
		return given
	}
	return "postgres://postgres@127.0.0.1:5432/test?sslmode=disable"
}

// SchemaURL creates an empty schema, dropped at the end of the test, and
// returns a connection string in which it is the only one on the search path,
// so that nothing can reach another test's tables by accident.
func SchemaURL(t testing.TB) string {
	t.Helper()
	return SchemaURLAt(t, ServerURL())
}

// SchemaURLAt is SchemaURL on a given server, for instance one that the test
// started itself and may stop before the end.
func SchemaURLAt(t testing.TB, server string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	schema := "t_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	execute := func(ctx context.Context, statement string) error {
		db, err := queries.Open(queries.Config{URL: server, MaxConns: 1})
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		_, err = db.ExecContext(ctx, statement)
		return err
	}
	if err := execute(ctx, "CREATE SCHEMA "+schema); err != nil {
		t.Fatalf("no Postgres for the tests: %v\n`make services` starts one; DATABASE_URL names another", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := execute(ctx, "DROP SCHEMA "+schema+" CASCADE"); err != nil {
			t.Logf("dropping the schema: %v", err)
		}
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("DATABASE_URL must be a URL for the tests")
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

// New returns a pool on a migrated schema of the test's own.
func New(t testing.TB) *queries.DB {
	t.Helper()
	return Open(t, SchemaURL(t), true)
}

// Open returns a pool for the URL, closed at the end of the test, and migrates
// first if asked to.
func Open(t testing.TB, databaseURL string, migrate bool) *queries.DB {
	t.Helper()
	db, err := queries.Open(queries.Config{URL: databaseURL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if migrate {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := migrations.Up(ctx, db.DB.DB); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// Chat stores a chat of the users, ascending, and returns its id.
func Chat(t testing.TB, db *queries.DB, members ...int64) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	id, err := db.EnsureChat(ctx, members)
	if err != nil {
		t.Fatal(fmt.Errorf("making a chat: %w", err))
	}
	return id
}
