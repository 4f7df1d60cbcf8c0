package queries_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/services/instance"
	"chat-messaging/migrations"
	"chat-messaging/queries/queriestest"
)

// denied is the SQLSTATE of a missing privilege.
const denied = "42501"

// The role that serves may do what the statements do, whoever adds one, and
// nothing else: every privilege is needed by some statement.
func TestTheServingRoleMayDoWhatTheStatementsDoAndNoMore(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	// Roles belong to a whole cluster, so it is the test's own.
	server, err := instance.StartPostgres(ctx, instance.PostgresConfig{Dir: t.TempDir(), Volatile: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Kill()) })
	owner := queriestest.Open(t, queriestest.SchemaURLAt(t, server.URL()), true)
	owner.SetMaxOpenConns(2)

	require.ErrorContains(t, migrations.Grant(ctx, owner.DB.DB, "nobody"), "no role")
	require.ErrorContains(t, migrations.Grant(ctx, owner.DB.DB, "postgres"), "superuser")
	_, err = owner.ExecContext(ctx, `CREATE ROLE "a ""role"""`)
	require.NoError(t, err)
	const role = `a "role"`
	_, err = owner.ExecContext(ctx, `GRANT ALL ON messages TO "a ""role"""`)
	require.NoError(t, err)
	for range 2 { // the second time changes nothing
		require.NoError(t, migrations.Grant(ctx, owner.DB.DB, role))
	}

	served, err := owner.Conn(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { _ = served.Close() })
	_, err = served.ExecContext(ctx, `SET ROLE "a ""role"""`)
	require.NoError(t, err)
	statements := explainable(t, ctx, served)
	for name, explain := range statements {
		_, err := served.ExecContext(ctx, explain)
		require.NoError(t, err, "the serving role may not run %s: see servePrivileges in migrations/grant.go", name)
	}
	_, err = served.ExecContext(ctx, `
INSERT INTO poison_groups AS g (state, code, stage, entries) VALUES ('', '', '', 0)
ON CONFLICT (state, code, stage) DO UPDATE SET entries = 0`)
	require.NoError(t, err, "the triggers write it")
	for _, forbidden := range []string{
		"CREATE TABLE mine (n int)", "DROP TABLE chats", "ALTER TABLE messages ADD COLUMN n int", "TRUNCATE messages",
		"CREATE INDEX ON messages (body)", "DELETE FROM messages", "UPDATE messages SET body = ''", "DELETE FROM chats",
		"DELETE FROM audit", "UPDATE audit SET who = ''", "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9, true)",
		"SELECT * FROM pg_authid",
	} {
		_, err := served.ExecContext(ctx, forbidden)
		require.Equal(t, denied, code(err), "%s: %v", forbidden, err)
	}
	requireEachNeeded(t, ctx, owner.DB.DB, served, statements)
}

func code(err error) string {
	if pqErr, ok := errors.AsType[*pq.Error](err); ok {
		return string(pqErr.Code)
	}
	return ""
}

// explainable prepares every statement, and returns what makes Postgres check its
// privileges without running it.
func explainable(t *testing.T, ctx context.Context, conn *sql.Conn) map[string]string {
	t.Helper()
	list := map[string]string{}
	for name, text := range statementConstants(t) {
		if _, err := conn.ExecContext(ctx, "PREPARE "+name+" AS "+text); err != nil {
			require.NotEmpty(t, code(err), "%s: %v", name, err)
			continue // not one that can be prepared, such as LISTEN
		}
		var parameters int
		require.NoError(t, conn.QueryRowContext(ctx,
			`SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = lower($1)`, name).Scan(&parameters))
		list[name] = "EXPLAIN EXECUTE " + name
		if parameters > 0 {
			list[name] += "(" + strings.TrimSuffix(strings.Repeat("NULL, ", parameters), ", ") + ")"
		}
	}
	require.Greater(t, len(list), 20, "the search for statements finds few")
	return list
}

// requireEachNeeded takes each privilege back, and looks for a statement that
// misses it.
func requireEachNeeded(t *testing.T, ctx context.Context, owner *sql.DB, served *sql.Conn, statements map[string]string) {
	t.Helper()
	texts := statementConstants(t)
	rows, err := owner.QueryContext(ctx, `
SELECT table_name, privilege_type FROM information_schema.role_table_grants
WHERE grantee = 'a "role"' AND table_schema = current_schema() AND table_name <> 'goose_db_version'
  AND (table_name <> 'poison_groups' OR privilege_type = 'SELECT') -- written by triggers`)
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	var granted [][2]string
	for rows.Next() {
		var g [2]string
		require.NoError(t, rows.Scan(&g[0], &g[1]))
		granted = append(granted, g)
	}
	require.NoError(t, rows.Err())
	require.NotEmpty(t, granted)
	for _, g := range granted {
		change := func(verb, preposition string) {
			_, err := owner.ExecContext(ctx, fmt.Sprintf(`%s %s ON %s %s "a ""role"""`, verb, g[1], g[0], preposition))
			require.NoError(t, err)
		}
		change("REVOKE", "FROM")
		missed := slices.ContainsFunc(slices.Collect(maps.Keys(statements)), func(name string) bool {
			if !strings.Contains(texts[name], g[0]) {
				return false
			}
			_, err := served.ExecContext(ctx, statements[name])
			return code(err) == denied
		})
		change("GRANT", "TO")
		require.True(t, missed, "no statement needs %s on %s", g[1], g[0])
	}
}
