package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/lib/pq"
)

// databaseName is the one database, or schema, that this command creates.
const databaseName = "chat_messaging"

// prepareDatabase makes sure that there is a place of our own on the server
// that address leads to: our own database, or where that is not permitted a
// schema of ours in the database of the address. how is continued with what
// was done. Nothing is created when only looking.
func (s *setup) prepareDatabase(ctx context.Context, address url.URL, how string) (found, error) {
	db, err := connect(ctx, address.String())
	if err != nil {
		return found{}, err
	}
	defer db.Close()

	if s.lookOnly {
		return found{url: address.String(), how: how}, nil
	}

	created, refusal := createDatabase(ctx, db)
	if refusal == nil {
		own := address
		own.Path = "/" + databaseName

		if refusal = mayCreateTables(ctx, own); refusal == nil {
			return found{url: own.String(), how: how + ", database " + databaseName + created}, nil
		}
	}

	if err := createSchema(ctx, db); err != nil {
		return found{}, fmt.Errorf("no database of our own: %w; and no schema of our own: %w", refusal, err)
	}

	query := address.Query()
	query.Set("search_path", databaseName)
	address.RawQuery = query.Encode()

	return found{
		url: address.String(),
		how: how + ", schema " + databaseName + " in its database " + address.Path[1:] + " because it permits no database of our own",
	}, nil
}

// createDatabase returns what to add to the message about it.
func createDatabase(ctx context.Context, db *sql.DB) (string, error) {
	var exists bool

	err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", databaseName).Scan(&exists)
	if err != nil {
		return "", fmt.Errorf("looking for the database %s: %w", databaseName, err)
	}

	if exists {
		return "", nil
	}

	// From template0, because the server's usual encoding may not be UTF-8.
	_, err = db.ExecContext(ctx, "CREATE DATABASE "+databaseName+
		" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")

	switch {
	case err == nil:
		return " (created just now)", nil
	case hasState(err, "42P04", "23505"): // somebody else was faster
		return "", nil
	default:
		return "", fmt.Errorf("creating the database %s: %w", databaseName, err)
	}
}

func mayCreateTables(ctx context.Context, address url.URL) error {
	db, err := connect(ctx, address.String())
	if err != nil {
		return err
	}
	defer db.Close()

	var may sql.NullBool
	if err := db.QueryRowContext(ctx, "SELECT has_schema_privilege(current_schema(), 'CREATE')").Scan(&may); err != nil {
		return fmt.Errorf("asking for permissions: %w", err)
	}

	if !may.Bool {
		return fmt.Errorf("no permission to create tables in the database %s", databaseName)
	}

	return nil
}

func createSchema(ctx context.Context, db *sql.DB) error {
	var may sql.NullBool

	err := db.QueryRowContext(ctx,
		"SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = $1", databaseName).Scan(&may)
	if err == nil && may.Bool {
		return nil
	}

	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("looking for the schema %s: %w", databaseName, err)
	}

	if _, err := db.ExecContext(ctx, "CREATE SCHEMA "+databaseName); err != nil {
		return fmt.Errorf("creating the schema %s: %w", databaseName, err)
	}

	return nil
}

func missingDatabase(err error) bool { return hasState(err, "3D000") }

func notPermitted(err error) bool { return hasState(err, "42501") }

func hasState(err error, states ...string) bool {
	fault, ok := errors.AsType[*pq.Error](err)
	if !ok {
		return false
	}

	return slices.Contains(states, string(fault.Code))
}
