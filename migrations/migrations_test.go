package migrations_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "github.com/lib/pq"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"chat-messaging/migrations"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUpDownAndUpAgainLeadToTheSameSchema(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), openSchema(t, newSchema(t))

	first, err := migrations.Up(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	if len(first) == 0 || first[0].Version != 1 || first[0].Name != "00001_chats_and_messages.sql" {
		t.Fatalf("Up applied %+v", first)
	}
	migrated := catalog(t, db)

	down, err := migrations.DownTo(ctx, db, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(down) != len(first) || down[0].Version != first[len(first)-1].Version {
		t.Errorf("DownTo(0) rolled back %+v, want all of %+v, newest first", down, first)
	}
	for _, object := range catalog(t, db) {
		if !strings.Contains(object, "goose_db_version") {
			t.Errorf("left behind after rolling everything back: %s", object)
		}
	}

	if _, err := migrations.Up(ctx, db); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(migrated, catalog(t, db)); diff != "" {
		t.Errorf("the second time the schema differs (-first +second):\n%s", diff)
	}
}

func TestDownRollsBackOneStep(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), openSchema(t, newSchema(t))
	up, err := migrations.Up(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	for left := len(up); left > 0; left-- {
		down, err := migrations.Down(ctx, db)
		if err != nil {
			t.Fatal(err)
		}
		if len(down) != 1 || down[0].Version != up[left-1].Version {
			t.Fatalf("Down rolled back %+v, want version %d alone", down, up[left-1].Version)
		}
	}
	if down, err := migrations.Down(ctx, db); err != nil || len(down) != 0 {
		t.Errorf("Down with nothing left: %+v, %v", down, err)
	}
}

func TestUpWithNothingPendingDoesNothing(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), openSchema(t, newSchema(t))
	if _, err := migrations.Up(ctx, db); err != nil {
		t.Fatal(err)
	}
	if again, err := migrations.Up(ctx, db); err != nil || len(again) != 0 {
		t.Errorf("second Up: %+v, %v", again, err)
	}
}

func TestReplicasThatStartTogetherApplyEachMigrationOnce(t *testing.T) {
	t.Parallel()
	t.Run("on an empty schema", func(t *testing.T) {
		t.Parallel()
		upTogether(t, newSchema(t))
	})
	t.Run("where the table of versions exists", func(t *testing.T) {
		t.Parallel()
		schema := newSchema(t)
		db := openSchema(t, schema)
		if _, err := migrations.Up(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		if _, err := migrations.DownTo(t.Context(), db, 0); err != nil {
			t.Fatal(err)
		}
		upTogether(t, schema)
	})
}

func upTogether(t *testing.T, schema string) {
	t.Helper()
	const replicas = 4
	applied := make([][]migrations.Applied, replicas)
	var group errgroup.Group
	for i := range replicas {
		db := openSchema(t, schema)
		if err := db.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		group.Go(func() error {
			var err error
			applied[i], err = migrations.Up(t.Context(), db)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	times := map[int64]int{}
	for _, list := range applied {
		for _, migration := range list {
			times[migration.Version]++
		}
	}
	states, err := migrations.Status(t.Context(), openSchema(t, schema))
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range states {
		if times[state.Version] != 1 {
			t.Errorf("%s was applied %d times", state.Name, times[state.Version])
		}
	}
}

func TestUpWithOneConnectionInThePool(t *testing.T) {
	t.Parallel()
	db := openSchema(t, newSchema(t))
	db.SetMaxOpenConns(1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := migrations.Up(ctx, db); err != nil {
		t.Fatal(err)
	}
	if _, err := migrations.Down(ctx, db); err != nil {
		t.Fatal(err)
	}
}

func TestStatusAndPendingOnlyRead(t *testing.T) {
	t.Parallel()
	ctx, schema := t.Context(), newSchema(t)
	db := openSchema(t, schema)
	readOnly := openURL(t, withParameter(t, schemaURL(t, schema), "default_transaction_read_only", "on"))

	states, err := migrations.Status(ctx, readOnly)
	if err != nil {
		t.Fatal(err)
	}
	if len(states) == 0 || states[0].Name != "00001_chats_and_messages.sql" || !states[0].AppliedAt.IsZero() {
		t.Errorf("status of an empty schema: %+v", states)
	}
	if pending, err := migrations.Pending(ctx, readOnly); err != nil || pending != len(states) {
		t.Errorf("pending in an empty schema: %d, %v, want %d", pending, err, len(states))
	}
	if left := catalog(t, db); len(left) != 0 {
		t.Errorf("Status or Pending created %q", left)
	}

	before := time.Now().Add(-time.Minute)
	if _, err := migrations.Up(ctx, db); err != nil {
		t.Fatal(err)
	}
	if pending, err := migrations.Pending(ctx, readOnly); err != nil || pending != 0 {
		t.Errorf("pending after Up: %d, %v", pending, err)
	}
	states, err = migrations.Status(ctx, readOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range states {
		if state.AppliedAt.Before(before) || state.AppliedAt.After(time.Now().Add(time.Minute)) {
			t.Errorf("%s: applied at %v, want about now", state.Name, state.AppliedAt)
		}
	}
}

func TestStatusReadsTheTimeInTheSessionsZone(t *testing.T) {
	t.Parallel()
	url := withParameter(t, schemaURL(t, newSchema(t)), "TimeZone", "Asia/Tokyo")
	db := openURL(t, url)
	if _, err := migrations.Up(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	states, err := migrations.Status(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if age := time.Since(states[0].AppliedAt).Abs(); age > time.Minute {
		t.Errorf("applied at %v, that is %v off", states[0].AppliedAt, age)
	}
}

func TestADatabaseOfANewerBuildIsLeftAlone(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), openSchema(t, newSchema(t))
	if _, err := migrations.Up(ctx, db); err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`)

	if done, err := migrations.Up(ctx, db); err != nil || len(done) != 0 {
		t.Errorf("Up: %+v, %v", done, err)
	}
	if pending, err := migrations.Pending(ctx, db); err != nil || pending != 0 {
		t.Errorf("Pending: %d, %v", pending, err)
	}
	states, err := migrations.Status(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	if last := states[len(states)-1]; last.Version != 9999 || last.Name != "" {
		t.Errorf("the newest state is %+v", last)
	}
	before := catalog(t, db)
	if _, err := migrations.Down(ctx, db); err == nil || !strings.Contains(err.Error(), "9999") {
		t.Errorf("Down: %v, want an error that names the version", err)
	}
	if _, err := migrations.DownTo(ctx, db, 0); err == nil {
		t.Error("DownTo(0) went below a migration that it cannot undo")
	}
	if diff := cmp.Diff(before, catalog(t, db)); diff != "" {
		t.Errorf("the refused rollback changed the schema:\n%s", diff)
	}
}

func TestAGapBelowAnAppliedVersionIsRefused(t *testing.T) {
	t.Parallel()
	db := openSchema(t, newSchema(t))
	if _, err := migrations.Up(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, `UPDATE goose_db_version SET version_id = 9999 WHERE version_id = 1`)
	if _, err := migrations.Up(t.Context(), db); err == nil || !strings.Contains(err.Error(), "9999") {
		t.Errorf("Up over a gap: %v", err)
	}
}

func TestUnknownVersionsAreRefused(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), openSchema(t, newSchema(t))
	for _, version := range []int64{-1, 0, 9999} {
		if _, err := migrations.UpTo(ctx, db, version); err == nil {
			t.Errorf("UpTo(%d) was accepted", version)
		}
	}
	for _, version := range []int64{-1, 9999} {
		if _, err := migrations.DownTo(ctx, db, version); err == nil {
			t.Errorf("DownTo(%d) was accepted", version)
		}
	}
	if _, err := migrations.UpTo(ctx, db, 1); err != nil {
		t.Errorf("UpTo(1): %v", err)
	}
}

func TestAMissingSchemaIsNamedAsTheCause(t *testing.T) {
	t.Parallel()
	db := openSchema(t, "t_there_is_no_such_schema")
	_, err := migrations.Up(t.Context(), db)
	if err == nil || !strings.Contains(err.Error(), "search_path") {
		t.Errorf("Up without a schema: %v", err)
	}
}

func TestTablesGoIntoTheFirstSchemaOfTheSearchPath(t *testing.T) {
	t.Parallel()
	ctx, other, own := t.Context(), newSchema(t), newSchema(t)
	if _, err := migrations.Up(ctx, openSchema(t, other)); err != nil {
		t.Fatal(err)
	}
	db := openSchema(t, own+","+other)
	if pending, err := migrations.Pending(ctx, db); err != nil || pending == 0 {
		t.Errorf("pending: %d, %v: another schema's history was taken for ours", pending, err)
	}
	if _, err := migrations.Up(ctx, db); err != nil {
		t.Fatal(err)
	}
	if len(catalog(t, openSchema(t, own))) == 0 {
		t.Error("nothing was created in the first schema")
	}
}

func TestAFailedMigrationLeavesNothingBehindAndReleasesTheLock(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), openSchema(t, newSchema(t))
	mustExec(t, db, `CREATE TABLE outbox (in_the_way boolean)`)
	done, err := migrations.Up(ctx, db)
	if err == nil || !strings.Contains(err.Error(), "00001_chats_and_messages.sql") {
		t.Fatalf("Up: %+v, %v, want an error that names the file", done, err)
	}
	mustExec(t, db, `DROP TABLE outbox`)
	if done, err := migrations.Up(ctx, db); err != nil || len(done) == 0 {
		t.Errorf("Up after the repair: %+v, %v", done, err)
	}
}

// Events may wait when the step that packs them into rows is taken back.
func TestEventsThatWaitOutliveTheWayBack(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), openSchema(t, newSchema(t))
	if _, err := migrations.UpTo(ctx, db, 5); err != nil {
		t.Fatal(err)
	}
	const id = "00000000-0000-0000-0000-00000000000"
	mustExec(t, db, `INSERT INTO outbox (event_id, chat_id, user_id, name, payload) VALUES ('`+id+`1', 7, 70, 'a', E'{\t\n}')`)
	mustExec(t, db, `INSERT INTO outbox (size, events) VALUES
		(2, E'`+id+`2\t7\t70\ta\t{"\t":"ü"}\n0000000000000000000000000000000`+`3\t0\t71\tb\t\n'), (1, E'`+id+`4\t7\t70\ta\t{}\n')`)
	mustExec(t, db, `INSERT INTO outbox (event_id, user_id, name, payload) VALUES ('`+id+`5', 70, 'a', '{}')`)
	if _, err := migrations.DownTo(ctx, db, 4); err != nil {
		t.Fatal(err)
	}
	var got []string
	rows, err := db.QueryContext(ctx, `SELECT concat_ws('|', right(event_id::text, 1), COALESCE(chat_id::text, 'none'), user_id, name, payload)
FROM outbox ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var row string
		if err := rows.Scan(&row); err != nil {
			t.Fatal(err)
		}
		got = append(got, row)
	}
	want := []string{"1|7|70|a|{\t\n}", "2|7|70|a|{\"\t\":\"ü\"}", "3|none|71|b|", "4|7|70|a|{}", "5|none|70|a|{}"}
	if diff := cmp.Diff(want, got); diff != "" || rows.Err() != nil {
		t.Errorf("what waits (-want +got):\n%s%v", diff, rows.Err())
	}
	if _, err := migrations.Up(ctx, db); err != nil {
		t.Fatal(err)
	}
}

// newSchema creates a schema that is dropped with the test.
func newSchema(t *testing.T) string {
	t.Helper()
	schema := "t_" + strings.ToLower(rand.Text())
	db := openURL(t, serverURL())
	if _, err := db.ExecContext(t.Context(), "CREATE SCHEMA "+schema); err != nil {
		t.Fatalf("creating a schema for the test: %v\n"+
			"the tests need Postgres: start it with `make services`, or name another one in DATABASE_URL", err)
	}
	t.Cleanup(func() {
		db := openURL(t, serverURL())
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if _, err := db.ExecContext(ctx, "DROP SCHEMA "+schema+" CASCADE"); err != nil {
			t.Errorf("dropping the test's schema: %v", err)
		}
		_ = db.Close()
	})
	return schema
}

func openSchema(t *testing.T, searchPath string) *sql.DB {
	t.Helper()
	return openURL(t, schemaURL(t, searchPath))
}

func openURL(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func serverURL() string {
	if url := os.Getenv("DATABASE_URL"); url != "" {
		return url
	}
	return "postgres://postgres@127.0.0.1:5432/test?sslmode=disable"
}

func schemaURL(t *testing.T, searchPath string) string {
	t.Helper()
	return withParameter(t, serverURL(), "search_path", searchPath)
}

func withParameter(t *testing.T, text, name, value string) string {
	t.Helper()
	parsed, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	query := parsed.Query()
	query.Set(name, value)
	parsed.RawQuery = query.Encode()
	return parsed.String()
}

func mustExec(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
