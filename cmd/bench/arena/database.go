package arena

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/lib/pq"

	"chat-messaging/migrations"
	"chat-messaging/queries"
)

// templateName is the database that each round's is copied from, so that all
// start alike: the same chats, no dead rows, statistics up to date.
const templateName = "bench_template"

const insertChatsStatement = `
WITH chat AS (
    INSERT INTO chats (id, member_ids)
    SELECT id, ARRAY[first, second] FROM unnest($1::int8[], $2::int8[], $3::int8[]) AS v (id, first, second)
    RETURNING id, member_ids
)
INSERT INTO members (user_id, chat_id) SELECT unnest(member_ids), id FROM chat`

func (a *Arena) makeTemplate(ctx context.Context) error {
	if _, err := a.admin.ExecContext(ctx, "CREATE DATABASE "+templateName); err != nil {
		return fmt.Errorf("creating the template database: %w", err)
	}
	db, err := a.open(templateName)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if _, err := migrations.Up(ctx, db.DB.DB); err != nil {
		return fmt.Errorf("migrating the template database: %w", err)
	}
	var ids, first, second pq.Int64Array
	for _, c := range chats(a.cfg.Chats) {
		ids, first, second = append(ids, c.id), append(first, c.first), append(second, c.second)
	}
	if _, err := db.ExecContext(ctx, insertChatsStatement, ids, first, second); err != nil {
		return fmt.Errorf("storing the chats: %w", err)
	}
	if _, err := db.ExecContext(ctx, "VACUUM (ANALYZE)"); err != nil {
		return fmt.Errorf("cleaning up the template database: %w", err)
	}
	return nil
}

// makeDatabase copies the template and returns the copy's URL.
func (a *Arena) makeDatabase(ctx context.Context, name string) (string, error) {
	if _, err := a.admin.ExecContext(ctx, "CREATE DATABASE "+name+" TEMPLATE "+templateName); err != nil {
		return "", fmt.Errorf("making a database for the round: %w", err)
	}
	if err := a.checkpoint(ctx); err != nil {
		return "", err
	}
	return a.databaseURL(name)
}

// checkpoint is there so that a round does not write out what the one before it
// has changed.
func (a *Arena) checkpoint(ctx context.Context) error {
	if _, err := a.admin.ExecContext(ctx, "CHECKPOINT"); err != nil {
		return fmt.Errorf("flushing the databases to disk: %w", err)
	}
	return nil
}

func (a *Arena) dropDatabase(ctx context.Context, name string) error {
	if _, err := a.admin.ExecContext(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("dropping the round's database: %w", err)
	}
	return nil
}

func (a *Arena) databaseURL(name string) (string, error) {
	u, err := url.Parse(a.postgres.URL())
	if err != nil {
		return "", fmt.Errorf("reading the URL of Postgres: %w", err)
	}
	u.Path = "/" + name
	return u.String(), nil
}

func (a *Arena) open(name string) (*queries.DB, error) {
	address, err := a.databaseURL(name)
	if err != nil {
		return nil, err
	}
	return queries.Open(queries.Config{URL: address, MaxConns: 2, StatementTimeout: 10 * time.Minute})
}

// A chat whose positions are not 1 to n, or that has handed out another number
// of them, counts as torn.
const storedStatement = `
SELECT (SELECT count(*) FROM messages) AS stored,
       (SELECT count(*) FROM chats
        LEFT JOIN (SELECT chat_id, count(*) AS n, max(seq) AS last FROM messages GROUP BY chat_id) AS m ON m.chat_id = id
        WHERE last_seq <> COALESCE(n, 0) OR last_seq <> COALESCE(last, 0)) AS torn,
       (SELECT count(*) FROM outbox) AS unsent`

// verifyStored checks that the table holds so many messages more than before the
// round, and each chat's in a row.
func (g *Ground) verifyStored(ctx context.Context, want int) error {
	db, err := g.arena.open(g.database)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	var got struct{ Stored, Torn, Unsent int }
	if err := db.GetContext(ctx, &got, storedStatement); err != nil {
		return fmt.Errorf("counting what is stored: %w", err)
	}
	if got.Stored != g.before+want || got.Torn > 0 || got.Unsent > 0 {
		return fmt.Errorf("%d of %d messages are stored, %d chats have gaps, %d events are in the outbox",
			got.Stored-g.before, want, got.Torn, got.Unsent)
	}
	if g.database == storedName {
		g.arena.stored = got.Stored
	}
	return nil
}

// Hold keeps every contender from the chats, so that nothing that is handed out
// gets anywhere, until the function that it returns is called.
func (g *Ground) Hold(ctx context.Context) (release func() error, err error) {
	db, err := g.arena.open(g.database)
	if err != nil {
		return nil, err
	}
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("locking the chats: %w", err)
	}
	for _, statement := range []string{
		// The caller decides how long, not a busy machine.
		"SET LOCAL idle_in_transaction_session_timeout = 0",
		"LOCK TABLE chats IN ACCESS EXCLUSIVE MODE",
	} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			_ = tx.Rollback()
			_ = db.Close()
			return nil, fmt.Errorf("locking the chats: %w", err)
		}
	}
	return func() error {
		defer func() { _ = db.Close() }()
		if err := tx.Rollback(); err != nil {
			return fmt.Errorf("unlocking the chats: %w", err)
		}
		return nil
	}, nil
}
