package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lib/pq"
)

// servePrivileges is what a running service does with each table, and all that
// it may do. It never changes the schema, never deletes a message or a chat, and
// cannot take back what it wrote into the audit.
var servePrivileges = map[string]string{
	"chats":            "SELECT, INSERT, UPDATE",
	"members":          "SELECT, INSERT",
	"users":            "SELECT, INSERT, UPDATE",
	"messages":         "SELECT, INSERT",
	"outbox":           "SELECT, INSERT, UPDATE, DELETE",
	"consumption":      "SELECT, INSERT, UPDATE",
	"instances":        "SELECT, INSERT, UPDATE, DELETE",
	"poisoned":         "SELECT, INSERT, UPDATE, DELETE",
	"poison_jobs":      "SELECT, INSERT, UPDATE",
	"poison_attempts":  "SELECT, INSERT, UPDATE",
	"poison_groups":    "SELECT, INSERT, UPDATE", // also by the triggers of poisoned
	"audit":            "SELECT, INSERT",
	"goose_db_version": "SELECT", // whether migrations are pending
}

const roleSQL = `
SELECT rolsuper,
       EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = current_schema() AND tableowner = rolname),
       current_schema()
FROM pg_catalog.pg_roles
WHERE rolname = $1`

const tablesSQL = `SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = current_schema()`

// Grant lets a role run the service on the migrated schema, and do nothing else
// there: what it was granted before on our tables is taken back first. It is to
// be called by the tables' owner, again after each migration that adds a table.
func Grant(ctx context.Context, db *sql.DB, role string) error {
	pending, err := Pending(ctx, db)
	if err != nil {
		return err
	}
	if pending > 0 {
		return fmt.Errorf("granting to a role: %d migrations are pending, and their tables missing", pending)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("granting to a role: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := grant(ctx, tx, role); err != nil {
		return fmt.Errorf("granting to a role: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("granting to a role: %w", err)
	}
	return nil
}

func grant(ctx context.Context, tx *sql.Tx, role string) error {
	var super, owns bool
	var schema string
	err := tx.QueryRowContext(ctx, roleSQL, role).Scan(&super, &owns, &schema)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("there is no role %q: CREATE ROLE makes one", role)
	case err != nil:
		return err
	case super:
		return fmt.Errorf("the role %q is a superuser, who may do everything", role)
	case owns:
		return fmt.Errorf("the role %q owns the tables, and an owner may do everything with them", role)
	}
	tables, err := existing(ctx, tx)
	if err != nil {
		return err
	}
	to := pq.QuoteIdentifier(role)
	statements := []string{"GRANT USAGE ON SCHEMA " + pq.QuoteIdentifier(schema) + " TO " + to}
	for _, table := range slices.Sorted(maps.Keys(servePrivileges)) {
		if !slices.Contains(tables, table) {
			continue // a later migration dropped it
		}
		name := pq.QuoteIdentifier(schema) + "." + pq.QuoteIdentifier(table)
		statements = append(statements,
			"REVOKE ALL ON TABLE "+name+" FROM "+to, "GRANT "+servePrivileges[table]+" ON TABLE "+name+" TO "+to)
	}
	_, err = tx.ExecContext(ctx, strings.Join(statements, ";\n"))
	return err
}

func existing(ctx context.Context, tx *sql.Tx) ([]string, error) {
	rows, err := tx.QueryContext(ctx, tablesSQL)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var tables []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return nil, err
		}
		tables = append(tables, table)
	}
	return tables, rows.Err()
}
