package migrations_test

import (
	"database/sql"
	"testing"
)

// catalogSQL describes everything in the connection's schema, a line each,
// without names that differ from one schema to the next.
const catalogSQL = `
SELECT line FROM (
    SELECT format('relation %s kind %s options %s', relname, relkind, reloptions) AS line
    FROM pg_class WHERE relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT format('column %s.%s %s not null %s default %s identity %s comment %s',
                  c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                  pg_get_expr(d.adbin, d.adrelid), a.attidentity, col_description(c.oid, a.attnum))
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = current_schema()::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT format('constraint %s.%s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
    UNION ALL
    SELECT format('index %s', pg_get_indexdef(indexrelid))
    FROM pg_index JOIN pg_class c ON c.oid = indexrelid
    WHERE c.relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT format('function %s', pg_get_functiondef(oid))
    FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
    UNION ALL
    SELECT format('trigger %s', pg_get_triggerdef(tg.oid))
    FROM pg_trigger tg JOIN pg_class c ON c.oid = tg.tgrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND NOT tg.tgisinternal
    UNION ALL
    SELECT format('type %s %s', typname, typtype)
    FROM pg_type WHERE typnamespace = current_schema()::regnamespace
) AS objects ORDER BY line`

func catalog(t *testing.T, db *sql.DB) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), catalogSQL)
	if err != nil {
		t.Fatalf("describing the schema: %v", err)
	}
	defer func() { _ = rows.Close() }()
	var lines []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatalf("describing the schema: %v", err)
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("describing the schema: %v", err)
	}
	return lines
}
