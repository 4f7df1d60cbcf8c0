package queriestest

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
)

// Execer is what runs a statement: the pool, or an open transaction.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// PutEvents writes events into the outbox, together.
func PutEvents(t testing.TB, in Execer, events []queries.OutboxEvent) {
	t.Helper()
	var insert queries.InsertOutbox
	statement, args, err := insert.Build(events)
	require.NoError(t, err)
	_, err = in.ExecContext(context.Background(), statement, args...)
	require.NoError(t, err, "writing %d events", len(events))
}
