package queries

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"
)

// ErrNotWaiting is returned for an entry that is replayed, discarded, or claimed
// by a job, and so cannot be changed.
var ErrNotWaiting = errors.New("the message is not waiting")

// ErrTooLong is returned for an edited body that is longer than MaxEditedBody.
var ErrTooLong = errors.New("the edited body is too long")

// MaxEditedBody bounds an edited body in bytes.
const MaxEditedBody = 1 << 20

const (
	editPoisonedStatement = `
UPDATE poisoned
SET edited_body = $2, edited_at = now(), edited_by = $3
WHERE id = $1 AND state = 'waiting'`
	revertPoisonedStatement = `
UPDATE poisoned
SET edited_body = NULL, edited_at = NULL, edited_by = ''
WHERE id = $1 AND state = 'waiting'`
)

// EditPoisoned sets the body that a replay sends instead of the original, which is
// kept. It returns ErrNotFound, ErrNotWaiting or ErrTooLong. What is refused is
// audited too.
func (db *DB) EditPoisoned(ctx context.Context, id int64, body []byte, by Operator) error {
	if len(body) > MaxEditedBody {
		return errors.Join(ErrTooLong, db.RecordAudit(ctx, entryAudit(id, by, "poison.edit", AuditRefused, ErrTooLong.Error())))
	}
	detail := fmt.Sprintf("the replay will send %d bytes", len(body))
	return db.changeEntry(ctx, id, by, "poison.edit", detail, editPoisonedStatement, nonNil(body), storable(by.Who))
}

// RevertPoisoned takes an edit back. It returns ErrNotFound or ErrNotWaiting.
func (db *DB) RevertPoisoned(ctx context.Context, id int64, by Operator) error {
	return db.changeEntry(ctx, id, by, "poison.revert", "the replay will send the original", revertPoisonedStatement)
}

// changeEntry changes a waiting entry and audits it.
func (db *DB) changeEntry(ctx context.Context, id int64, by Operator, action, detail, statement string, args ...any) error {
	doing := "changing a poisoned message"
	err := db.transact(ctx, doing, func(tx *sqlx.Tx) error {
		count, err := changed(tx.ExecContext(ctx, statement, append([]any{id}, args...)...))
		switch {
		case err != nil:
			return err
		case count == 0:
			return ErrNotWaiting
		}
		return recordAudit(ctx, tx, entryAudit(id, by, action, AuditDone, detail))
	})
	if !errors.Is(err, ErrNotWaiting) {
		return err
	}
	m, _, readErr := db.PoisonedMessage(ctx, id)
	switch {
	case errors.Is(readErr, ErrNotFound):
		err = fmt.Errorf("%s: %w", doing, ErrNotFound)
	case readErr != nil:
		return readErr
	default:
		err = fmt.Errorf("%w: it is %s", ErrNotWaiting, m.State)
	}
	return errors.Join(err, db.RecordAudit(ctx, entryAudit(id, by, action, AuditRefused, err.Error())))
}

func entryAudit(id int64, by Operator, action string, result AuditResult, detail string) AuditRecord {
	affected := int64(0)
	if result == AuditDone {
		affected = 1
	}
	return AuditRecord{
		Who: by.Who, Via: by.Via, Action: action, Selection: json.RawMessage(PoisonFilter{IDs: []int64{id}}.selection()),
		Affected: affected, Result: result, Detail: detail,
	}
}

// ImportPoisoned adds entries from an export, in one transaction, and returns how
// many were not there yet: an entry is known by its poison id. An entry that was
// being replayed comes in as waiting.
func (db *DB) ImportPoisoned(ctx context.Context, list []PoisonedMessage) (imported int, err error) {
	rows := make([]poisonedRow, 0, len(list))
	for i := range list {
		rows = append(rows, list[i].row())
	}
	err = db.transact(ctx, "importing poisoned messages", func(tx *sqlx.Tx) (err error) {
		imported, err = insertPoisoned(ctx, tx, rows)
		return err
	})
	return imported, err
}

// row is the entry as it is inserted.
func (m *PoisonedMessage) row() poisonedRow {
	n := NewPoisoned{
		PoisonID: m.PoisonID, Code: m.Code, Stage: m.Stage, Detail: m.Detail,
		Exchange: m.Exchange, RoutingKey: m.RoutingKey, Queue: m.Queue,
		FirstSeen: m.FirstSeen, Sequence: m.Sequence, LastSeen: m.LastSeen,
		ChatID: m.ChatID, SenderID: m.SenderID, ClientMessageID: m.ClientMessageID,
		Properties: m.Properties, Headers: m.Headers, Body: m.Body,
	}
	row := n.row()
	row.State, row.Attempts, row.Returned = m.State, m.Attempts, m.Returned
	row.Note, row.SettledAt, row.SettledBy = storable(m.Note), m.SettledAt, storable(m.SettledBy)
	if m.State == PoisonReplaying {
		row.State = PoisonWaiting
	}
	if m.EditedAt != nil {
		row.EditedBody, row.EditedAt, row.EditedBy = nonNil(m.EditedBody), m.EditedAt, storable(m.EditedBy)
	}
	return row
}
