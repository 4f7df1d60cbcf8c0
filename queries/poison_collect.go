package queries

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

// NewPoisoned is a message as it comes out of the poison queue, or out of an
// export. Texts that Postgres cannot hold are mended; content is kept to the byte.
type NewPoisoned struct {
	PoisonID        uuid.UUID
	Code            string
	Stage           string
	Detail          string
	Exchange        string
	RoutingKey      string
	Queue           string
	FirstSeen       time.Time
	Sequence        int64
	LastSeen        time.Time
	Generation      int // how often the broker had delivered it before; see CollectPoisoned
	Attempt         int // the replay that it comes back from; 0 if it is no replay
	ChatID          string
	SenderID        int64
	ClientMessageID string
	Properties      json.RawMessage
	Headers         json.RawMessage
	Body            []byte
}

// Fingerprint is the same for two deliveries only if nothing tells them apart.
func (n *NewPoisoned) Fingerprint() []byte {
	hash := sha256.New()
	for _, part := range [][]byte{[]byte(n.Exchange), []byte(n.RoutingKey), n.Properties, n.Headers, n.Body} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		_, _ = hash.Write(size[:])
		_, _ = hash.Write(part)
	}
	return hash.Sum(nil)
}

// Collected tells what a batch of poisoned messages was.
type Collected struct {
	New      int // entries that were not there
	Returned int // replays that came back
	Repeated int // copies that are collected already: nothing changed, but for Copies
}

// CollectPoisoned stores a batch from the poison queue in one transaction. Doing
// the same batch again, or one that overlaps it, changes nothing:
//
//   - A first copy is recognized by its poison id. A copy of a delivery that was
//     parked before and then delivered again (the service died before it could
//     acknowledge it) has another id; it is the same as a waiting entry that equals
//     it and was parked when the broker had delivered it less often.
//   - A replay that comes back has the id of its entry and the number of the
//     attempt, and each attempt of an entry comes back once. Its body must be one
//     that was sent, so that a stranger who uses the id cannot hide behind it.
func (db *DB) CollectPoisoned(ctx context.Context, batch []NewPoisoned) (Collected, error) {
	var all Collected
	err := db.transact(ctx, "collecting poisoned messages", func(tx *sqlx.Tx) error {
		all = Collected{}
		c := collection{tx: tx, result: &all}
		var firsts []NewPoisoned
		for _, n := range batch {
			isNew, err := c.recognize(ctx, &n)
			if err != nil {
				return err
			}
			if isNew {
				firsts = append(firsts, n)
			}
		}
		return c.insert(ctx, firsts)
	})
	return all, err
}

// collection is one batch on its way into the table.
type collection struct {
	tx     *sqlx.Tx
	result *Collected
}

// recognize tells whether a message is new. What is not new has been dealt with.
func (c *collection) recognize(ctx context.Context, n *NewPoisoned) (isNew bool, err error) {
	switch {
	case n.Attempt > 0:
		return c.takeBack(ctx, n)
	case n.Generation > 0:
		return c.merge(ctx, n)
	default:
		return true, nil // the insert knows the rest, for all at once
	}
}

const (
	firstAttemptStatement = `
INSERT INTO poison_attempts (poisoned_id, attempt, returned_at, code, stage, detail)
SELECT p.id, 0, p.last_seen, p.code, p.stage, p.detail
FROM poisoned AS p
WHERE p.poison_id = $1 AND p.returned = 0
ON CONFLICT DO NOTHING`
	// A discarded entry stays so: somebody has seen this very message and given it
	// up.
	takeBackStatement = `
WITH returned AS (
    UPDATE poisoned AS p
    SET returned = $2, attempts = greatest(p.attempts, $2), last_seen = greatest(p.last_seen, $7),
        code = $3, stage = $4, detail = $5,
        state = CASE p.state WHEN 'discarded' THEN 'discarded' ELSE 'waiting' END,
        settled_at = CASE p.state WHEN 'discarded' THEN p.settled_at END,
        settled_by = CASE p.state WHEN 'discarded' THEN p.settled_by ELSE '' END,
        note = CASE p.state WHEN 'discarded' THEN p.note ELSE '' END,
        claimed_by = NULL
    WHERE p.poison_id = $1 AND p.returned < $2 AND (p.body = $6 OR p.edited_body = $6)
    RETURNING p.id
)
INSERT INTO poison_attempts AS a (poisoned_id, attempt, returned_at, code, stage, detail)
SELECT r.id, $2, $7, $3, $4, $5
FROM returned AS r
ON CONFLICT (poisoned_id, attempt) DO UPDATE
SET returned_at = excluded.returned_at, code = excluded.code, stage = excluded.stage, detail = excluded.detail`
	knownReturnStatement = `
SELECT p.body = $2 OR COALESCE(p.edited_body = $2, false)
FROM poisoned AS p
WHERE p.poison_id = $1`
)

// takeBack puts an entry that comes back from a replay into its old place.
func (c *collection) takeBack(ctx context.Context, n *NewPoisoned) (isNew bool, err error) {
	if _, err := c.tx.ExecContext(ctx, firstAttemptStatement, n.PoisonID.String()); err != nil {
		return false, fmt.Errorf("keeping the first reason: %w", err)
	}
	count, err := changed(c.tx.ExecContext(ctx, takeBackStatement, n.PoisonID.String(), n.Attempt,
		storable(n.Code), storable(n.Stage), storable(n.Detail), nonNil(n.Body), n.LastSeen))
	if err != nil {
		return false, fmt.Errorf("taking a message back: %w", err)
	}
	if count > 0 {
		c.result.Returned++
		return false, nil
	}
	var same []bool
	if err := c.tx.SelectContext(ctx, &same, knownReturnStatement, n.PoisonID.String(), nonNil(n.Body)); err != nil {
		return false, fmt.Errorf("looking for a message that came back: %w", err)
	}
	switch {
	case len(same) == 0:
		return true, nil // its record is gone, or it is another database's
	case same[0]:
		c.result.Repeated++
		return false, nil
	default:
		// Another message under this id: it gets one of its own, always the same.
		n.PoisonID = uuid.NewSHA1(n.PoisonID, n.Fingerprint())
		n.Attempt = 0
		return true, nil
	}
}

const (
	knownCopyStatement = `
SELECT count(*)
FROM poisoned AS p
WHERE p.poison_id = $1 OR (p.fingerprint = $2 AND p.merged_id = $1)`
	mergeCopyStatement = `
UPDATE poisoned AS p
SET generation = $3, merged_id = $1, copies = p.copies + 1, last_seen = greatest(p.last_seen, $4)
WHERE p.id = (
    SELECT id
    FROM poisoned
    WHERE fingerprint = $2 AND state = 'waiting' AND generation < $3
    ORDER BY id
    LIMIT 1
    FOR UPDATE
)`
)

// merge looks for the entry that a delivery became when it was parked before.
// Each entry can be it once for each time that the broker delivered, so that two
// messages that are equal stay two.
func (c *collection) merge(ctx context.Context, n *NewPoisoned) (isNew bool, err error) {
	var known int
	if err := c.tx.GetContext(ctx, &known, knownCopyStatement, n.PoisonID.String(), n.Fingerprint()); err != nil {
		return false, fmt.Errorf("looking for a copy: %w", err)
	}
	if known > 0 {
		c.result.Repeated++
		return false, nil
	}
	merged, err := changed(c.tx.ExecContext(ctx, mergeCopyStatement, n.PoisonID.String(), n.Fingerprint(), n.Generation, n.LastSeen))
	if err != nil {
		return false, fmt.Errorf("merging a copy: %w", err)
	}
	c.result.Repeated += int(merged)
	return merged == 0, nil
}

// poisonedRow is an entry as insertPoisonedStatement takes it: one JSON document
// for a batch is one parameter, and one round trip.
type poisonedRow struct {
	PoisonID        uuid.UUID       `json:"poison_id"`
	State           PoisonState     `json:"state"`
	Code            string          `json:"code"`
	Stage           string          `json:"stage"`
	Detail          string          `json:"detail"`
	Exchange        string          `json:"exchange"`
	RoutingKey      string          `json:"routing_key"`
	Queue           string          `json:"queue"`
	FirstSeen       time.Time       `json:"first_seen"`
	Sequence        int64           `json:"sequence"`
	LastSeen        time.Time       `json:"last_seen"`
	Generation      int             `json:"generation"`
	Fingerprint     []byte          `json:"fingerprint"`
	Attempts        int             `json:"attempts"`
	Returned        int             `json:"returned"`
	ChatID          string          `json:"chat_id"`
	SenderID        int64           `json:"sender_id"`
	ClientMessageID string          `json:"client_message_id"`
	Properties      json.RawMessage `json:"properties"`
	Headers         json.RawMessage `json:"headers"`
	Body            []byte          `json:"body"`
	BodySearch      string          `json:"body_search"`
	EditedBody      []byte          `json:"edited_body"`
	EditedAt        *time.Time      `json:"edited_at"`
	EditedBy        string          `json:"edited_by"`
	SettledAt       *time.Time      `json:"settled_at"`
	SettledBy       string          `json:"settled_by"`
	Note            string          `json:"note"`
}

func (n *NewPoisoned) row() poisonedRow {
	return poisonedRow{
		PoisonID: n.PoisonID, State: PoisonWaiting,
		Code: storable(n.Code), Stage: storable(n.Stage), Detail: storable(n.Detail),
		Exchange: storable(n.Exchange), RoutingKey: storable(n.RoutingKey), Queue: storable(n.Queue),
		FirstSeen: n.FirstSeen, Sequence: n.Sequence, LastSeen: n.LastSeen,
		Generation: n.Generation, Fingerprint: n.Fingerprint(), Attempts: n.Attempt, Returned: n.Attempt,
		ChatID: storable(n.ChatID), SenderID: n.SenderID, ClientMessageID: storable(n.ClientMessageID),
		Properties: n.Properties, Headers: n.Headers, Body: nonNil(n.Body), BodySearch: searchText(n.Body),
	}
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

const insertPoisonedStatement = `
INSERT INTO poisoned (poison_id, state, code, stage, detail, exchange, routing_key, queue, first_seen, sequence, last_seen,
                      generation, fingerprint, attempts, returned, chat_id, sender_id, client_message_id,
                      properties, headers, body, body_search, edited_body, edited_at, edited_by, settled_at, settled_by, note)
SELECT poison_id, state, code, stage, detail, exchange, routing_key, queue, first_seen, sequence, last_seen,
       generation, decode(fingerprint, 'base64'), attempts, returned, chat_id, sender_id, client_message_id,
       properties, headers, decode(body, 'base64'), body_search, decode(edited_body, 'base64'), edited_at, edited_by,
       settled_at, settled_by, note
FROM ROWS FROM (json_to_recordset($1::json) AS (
    poison_id uuid, state text, code text, stage text, detail text, exchange text, routing_key text, queue text,
    first_seen timestamptz, sequence int8, last_seen timestamptz, generation int4, fingerprint text,
    attempts int4, returned int4, chat_id text, sender_id int8, client_message_id text,
    properties json, headers json, body text, body_search text, edited_body text, edited_at timestamptz, edited_by text,
    settled_at timestamptz, settled_by text, note text
)) WITH ORDINALITY AS v (poison_id, state, code, stage, detail, exchange, routing_key, queue, first_seen, sequence, last_seen,
     generation, fingerprint, attempts, returned, chat_id, sender_id, client_message_id,
     properties, headers, body, body_search, edited_body, edited_at, edited_by, settled_at, settled_by, note, place)
ORDER BY place
ON CONFLICT ON CONSTRAINT poisoned_poison_id_key DO NOTHING`

func (c *collection) insert(ctx context.Context, batch []NewPoisoned) error {
	rows := make([]poisonedRow, 0, len(batch))
	for i := range batch {
		rows = append(rows, batch[i].row())
	}
	inserted, err := insertPoisoned(ctx, c.tx, rows)
	c.result.New += inserted
	c.result.Repeated += len(rows) - inserted
	return err
}

func insertPoisoned(ctx context.Context, tx *sqlx.Tx, rows []poisonedRow) (inserted int, err error) {
	if len(rows) == 0 {
		return 0, nil
	}
	document, err := json.Marshal(rows)
	if err != nil {
		return 0, fmt.Errorf("encoding the entries: %w", err)
	}
	count, err := changed(tx.ExecContext(ctx, insertPoisonedStatement, string(document)))
	if err != nil {
		return 0, fmt.Errorf("inserting the entries: %w", err)
	}
	return int(count), nil
}
