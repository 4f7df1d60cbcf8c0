package arena

import (
	"context"
	"fmt"

	"chat-messaging/queries"
)

// storedName is the database whose table holds messages before the rounds begin.
const storedName = "bench_stored"

// The constraints are dropped for the filling and built afterwards, which takes
// a tenth of the time.
const constraintsStatement = `
SELECT conname AS name, pg_get_constraintdef(oid) AS definition
FROM pg_constraint WHERE conrelid = 'messages'::regclass AND contype IN ('p', 'u')
ORDER BY contype, conname`

// The messages are spread evenly over the chats, and those of a chat lie far
// apart, as years of use would have left them.
//
// The number of chats comes from a query of its own: taken from c it would leave
// nothing to join the chats by.
const fillStoredStatement = `
INSERT INTO messages (chat_id, seq, sender_id, recipient_id, delivered_at, fingerprint, client_message_id, sent_at, body)
SELECT c.id, i / (SELECT count(*) FROM chats) + 1,
       c.member_ids[1 + i % 2], c.member_ids[2 - i % 2],
       now() - make_interval(secs => ($1 - i) * 10.0),
       decode(md5(i::text), 'hex'), gen_random_uuid()::text,
       to_char(now() - make_interval(secs => ($1 - i) * 10.0), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       left(repeat(md5(i::text), $2 / 32 + 1), $2)
FROM generate_series(0, $1::int8 - 1) AS i
JOIN (SELECT id, member_ids, row_number() OVER (ORDER BY id) - 1 AS n FROM chats) AS c
  ON c.n = i % (SELECT count(*) FROM chats)`

const advanceStoredStatement = `
UPDATE chats SET last_seq = m.last
FROM (SELECT chat_id, max(seq) AS last FROM messages GROUP BY chat_id) AS m WHERE m.chat_id = id`

// storedBodyBytes is the length of a stored text.
const storedBodyBytes = 50

func (a *Arena) makeStored(ctx context.Context) error {
	if a.cfg.Stored == 0 {
		return nil
	}
	if _, err := a.makeDatabase(ctx, storedName); err != nil {
		return err
	}
	db, err := a.open(storedName)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := fillStored(ctx, db, a.cfg.Stored); err != nil {
		return fmt.Errorf("storing %d messages: %w", a.cfg.Stored, err)
	}
	a.stored = a.cfg.Stored
	return nil
}

func fillStored(ctx context.Context, db *queries.DB, messages int) error {
	var constraints []struct{ Name, Definition string }
	if err := db.SelectContext(ctx, &constraints, constraintsStatement); err != nil {
		return fmt.Errorf("reading the constraints: %w", err)
	}
	for _, c := range constraints {
		if _, err := db.ExecContext(ctx, "ALTER TABLE messages DROP CONSTRAINT "+c.Name); err != nil {
			return fmt.Errorf("dropping constraint %s: %w", c.Name, err)
		}
	}
	if err := insertStored(ctx, db, messages); err != nil {
		return fmt.Errorf("filling the table: %w", err)
	}
	for _, c := range constraints {
		// An index that grew has its pages two thirds full. A packed one would split
		// a page for nearly every message of the first round.
		statement := "ALTER TABLE messages ADD CONSTRAINT " + c.Name + " " + c.Definition + " WITH (fillfactor = 70)"
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("building constraint %s: %w", c.Name, err)
		}
	}
	for _, statement := range []string{advanceStoredStatement, "VACUUM (ANALYZE)"} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("bringing the chats up to date: %w", err)
		}
	}
	return nil
}

func insertStored(ctx context.Context, db *queries.DB, messages int) error {
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	// A merge join would bring the messages of a chat together.
	if _, err := tx.ExecContext(ctx, "SET LOCAL enable_mergejoin = off"); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fillStoredStatement, messages, storedBodyBytes); err != nil {
		return err
	}
	return tx.Commit()
}
