package queries

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

// PoisonState is where a poisoned message is on its way:
//
//	waiting ──▶ replaying ──▶ replayed
//	   ▲            │            │
//	   ├────────────┘ refused    │
//	   ├─────────────────────────┘ it came back
//	   └──▶ discarded
type PoisonState string

// The states.
const (
	// PoisonWaiting entries wait for somebody to decide.
	PoisonWaiting PoisonState = "waiting"
	// PoisonReplaying entries are claimed by a job: nobody else can replay,
	// discard or edit them.
	PoisonReplaying PoisonState = "replaying"
	// PoisonReplayed entries were published again, with the broker's confirm.
	PoisonReplayed PoisonState = "replayed"
	// PoisonDiscarded entries were given up; their records go after a while.
	PoisonDiscarded PoisonState = "discarded"
)

// PoisonStates are all states.
var PoisonStates = []PoisonState{PoisonWaiting, PoisonReplaying, PoisonReplayed, PoisonDiscarded}

// Poisoned is the record of a message that the pipeline could not process,
// without its content: a line of a list.
type Poisoned struct {
	// ID numbers the entries of this database in the order they were collected.
	ID int64 `db:"id" json:"id"`
	// PoisonID is the entry's id everywhere: in the headers of its replays and in
	// exports.
	PoisonID uuid.UUID   `db:"poison_id" json:"poison_id"`
	State    PoisonState `db:"state" json:"state"`
	// Code, Stage and Detail tell why it was poisoned, the last time.
	Code   string `db:"code" json:"reason"`
	Stage  string `db:"stage" json:"stage"`
	Detail string `db:"detail" json:"detail"`
	// Exchange and RoutingKey are where it was published to, Queue the one that
	// it was consumed from.
	Exchange   string `db:"exchange" json:"exchange"`
	RoutingKey string `db:"routing_key" json:"routing_key"`
	Queue      string `db:"queue" json:"queue"`
	// FirstSeen, with Sequence, is its place in the original order.
	FirstSeen   time.Time `db:"first_seen" json:"first_seen"`
	Sequence    int64     `db:"sequence" json:"sequence"`
	LastSeen    time.Time `db:"last_seen" json:"last_seen"`
	CollectedAt time.Time `db:"collected_at" json:"collected_at"`
	// Copies is how often the same delivery was parked.
	Copies int `db:"copies" json:"copies"`
	// Attempts is how often it was replayed, Returned the highest of these
	// attempts that came back.
	Attempts int `db:"attempts" json:"attempts"`
	Returned int `db:"returned" json:"returned"`
	// ChatID, SenderID and ClientMessageID as far as they could be read: empty
	// or 0 otherwise.
	ChatID          string `db:"chat_id" json:"chat_id"`
	SenderID        int64  `db:"sender_id" json:"sender_id"`
	ClientMessageID string `db:"client_message_id" json:"client_message_id"`
	// BodyBytes is the length of the original body.
	BodyBytes int `db:"body_bytes" json:"body_bytes"`
	// EditedAt and EditedBy tell of the body that is replayed instead.
	EditedAt *time.Time `db:"edited_at" json:"edited_at"`
	EditedBy string     `db:"edited_by" json:"edited_by"`
	// ClaimedBy is the job that is replaying it.
	ClaimedBy *int64 `db:"claimed_by" json:"claimed_by"`
	// SettledAt and SettledBy tell when it was replayed or discarded, and by whom.
	SettledAt *time.Time `db:"settled_at" json:"settled_at"`
	SettledBy string     `db:"settled_by" json:"settled_by"`
	// Note is why it was discarded, or why its last replay did not get through.
	Note string `db:"note" json:"note"`
}

// poisonColumns are the columns of Poisoned, over the alias p.
const poisonColumns = `
       p.id, p.poison_id, p.state, p.code, p.stage, p.detail, p.exchange, p.routing_key, p.queue,
       p.first_seen, p.sequence, p.last_seen, p.collected_at, p.copies, p.attempts, p.returned,
       p.chat_id, p.sender_id, p.client_message_id, octet_length(p.body) AS body_bytes,
       p.edited_at, p.edited_by, p.claimed_by, p.settled_at, p.settled_by, p.note`

// PoisonedMessage is an entry with all that it holds. Its JSON is a line of an
// export: see poison_record.go.
type PoisonedMessage struct {
	Poisoned
	// Properties and Headers are the original's, in the form that package
	// pipeline/poison gives them.
	Properties json.RawMessage `db:"properties"`
	Headers    json.RawMessage `db:"headers"`
	// Body is the original to the byte, EditedBody what is replayed instead of
	// it; nil if nobody has edited it.
	Body       []byte `db:"body"`
	EditedBody []byte `db:"edited_body"`
}

// Outgoing is the body that a replay sends.
func (m *PoisonedMessage) Outgoing() []byte {
	if m.EditedAt != nil {
		return m.EditedBody
	}
	return m.Body
}

// PoisonAttempt is one time that a message was replayed; Attempt 0 is the first
// time that it was poisoned, and is told only of messages that came back.
type PoisonAttempt struct {
	Attempt     int        `db:"attempt" json:"attempt"`
	JobID       *int64     `db:"job_id" json:"job_id"`
	Edited      bool       `db:"edited" json:"edited"`
	ClaimedAt   *time.Time `db:"claimed_at" json:"claimed_at"`
	ConfirmedAt *time.Time `db:"confirmed_at" json:"confirmed_at"`
	// Error is why it did not get through to the broker.
	Error string `db:"error" json:"error"`
	// ReturnedAt, Code, Stage and Detail tell of its coming back.
	ReturnedAt *time.Time `db:"returned_at" json:"returned_at"`
	Code       string     `db:"code" json:"reason"`
	Stage      string     `db:"stage" json:"stage"`
	Detail     string     `db:"detail" json:"detail"`
}

// transact runs work in a transaction, and again while it clashes with another
// one. work may be called several times.
func (db *DB) transact(ctx context.Context, doing string, work func(*sqlx.Tx) error) error {
	const tries = 5
	var err error
	for range tries {
		if err = db.transactOnce(ctx, work); err == nil || Classify(err) != FaultConflict {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// customPlansStatement has each statement planned for its own parameters. Left to
// itself Postgres takes a plan for any, in which every part of a filter is still
// there, and a page of a million entries takes seconds.
const customPlansStatement = `SET LOCAL plan_cache_mode = force_custom_plan`

func (db *DB) transactOnce(ctx context.Context, work func(*sqlx.Tx) error) error {
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, customPlansStatement); err != nil {
		return err
	}
	if err := work(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// changed is how many rows a statement has changed.
func changed(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

const longStatement = `SET LOCAL statement_timeout = '60s'`

// atLength is transact for a statement that may have to look at every entry.
func (db *DB) atLength(ctx context.Context, doing string, work func(*sqlx.Tx) error) error {
	return db.transact(ctx, doing, func(tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, longStatement); err != nil {
			return err
		}
		return work(tx)
	})
}
