package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// emptySchema returns DATABASE_URL with a schema of the test's own, dropped
// after it, as the assignment that the program reads.
func emptySchema(t *testing.T) string {
	t.Helper()
	server := os.Getenv("DATABASE_URL")
	if server == "" {
		server = "postgres://postgres@127.0.0.1:5432/test?sslmode=disable"
	}
	db, err := sql.Open("postgres", server)
	if err != nil {
		t.Fatal(err)
	}
	schema := "t_" + strings.ToLower(rand.Text())
	if _, err := db.ExecContext(t.Context(), "CREATE SCHEMA "+schema); err != nil {
		t.Fatalf("creating a schema for the test: %v\n"+
			"the tests need Postgres: start it with `make services`, or name another one in DATABASE_URL", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if _, err := db.ExecContext(ctx, "DROP SCHEMA "+schema+" CASCADE"); err != nil {
			t.Errorf("dropping the test's schema: %v", err)
		}
		_ = db.Close()
	})
	parsed, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	query := parsed.Query()
	query.Set("search_path", schema)
	parsed.RawQuery = query.Encode()
	return "DATABASE_URL=" + parsed.String()
}

func TestMigrateThereAndBack(t *testing.T) {
	t.Parallel()
	database := emptySchema(t)
	steps := []struct {
		name string
		args []string
		want []string
		not  string
	}{
		{"status before", []string{"status"}, []string{"VERSION", "00001_chats_and_messages.sql", "pending"}, "applied"},
		{"down with nothing applied", []string{"down", "--yes"}, []string{"nothing to do"}, ""},
		{"up", []string{"up"}, []string{"VERSION  MIGRATION", "00001_chats_and_messages.sql", "applied"}, ""},
		{"up again", []string{"up"}, []string{"nothing to do"}, ""},
		{"status after", []string{"status"}, []string{"00001_chats_and_messages.sql", "applied"}, "pending"},
		{"down to nothing", []string{"down", "--yes", "--to", "0"}, []string{"00001_chats_and_messages.sql", "rolled back"}, ""},
		{"up to a version", []string{"up", "--to", "1"}, []string{"00001_chats_and_messages.sql", "applied"}, ""},
		{"down to that version", []string{"down", "--yes", "--to", "1"}, []string{"nothing to do"}, ""},
	}
	for _, step := range steps {
		got := execute(t, []string{database}, append([]string{"migrate"}, step.args...)...)
		if got.code != exitOK || got.stderr != "" {
			t.Fatalf("%s: exit code %d, stderr %q", step.name, got.code, got.stderr)
		}
		for _, want := range step.want {
			if !strings.Contains(got.stdout, want) {
				t.Errorf("%s: stdout lacks %q:\n%s", step.name, want, got.stdout)
			}
		}
		if step.not != "" && strings.Contains(got.stdout, step.not) {
			t.Errorf("%s: stdout has %q:\n%s", step.name, step.not, got.stdout)
		}
	}
}

func TestMigrateDownAsksFirst(t *testing.T) {
	t.Parallel()
	database := emptySchema(t)
	if got := execute(t, []string{database}, "migrate", "up"); got.code != exitOK {
		t.Fatal(got.stderr)
	}
	if got := execute(t, []string{database}, "migrate", "down"); got.code != exitUsage {
		t.Errorf("exit code %d", got.code)
	}
	if got := execute(t, []string{database}, "migrate", "status"); strings.Contains(got.stdout, "pending") {
		t.Errorf("rolled back without --yes:\n%s", got.stdout)
	}
}

func TestMigrateSaysWhatFailed(t *testing.T) {
	t.Parallel()
	database := emptySchema(t)
	tests := []struct {
		name     string
		database string
		args     []string
		want     string
	}{
		{"unknown version", database, []string{"up", "--to", "99"}, "99"},
		{"no database", "DATABASE_URL=postgres://u:p@127.0.0.1:1/d?sslmode=disable", []string{"up"}, "connecting to postgres://u:xxxxx@127.0.0.1:1/d"},
	}
	for _, test := range tests {
		got := execute(t, []string{test.database}, append([]string{"migrate"}, test.args...)...)
		if got.code != exitFailed || !strings.Contains(got.stderr, test.want) || got.stdout != "" {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", test.name, got.code, got.stdout, got.stderr)
		}
		if strings.Count(strings.TrimSpace(got.stderr), "\n") != 0 {
			t.Errorf("%s: more than one line: %q", test.name, got.stderr)
		}
	}
}
