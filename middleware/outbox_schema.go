package middleware

import (
	"database/sql"
	"errors"
	"fmt"

	wsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"

	"chat-messaging/queries"
)

// OutboxSchema lets watermill-sql's publisher write our outbox table, one
// statement a batch. Its reading half is not offered: the stock subscriber's
// offsets stand still while any transaction of the cluster writes, and point
// nowhere after a dump is restored; the relay reads instead.
//
// It serves one goroutine.
type OutboxSchema struct {
	event  func(*message.Message) (queries.OutboxEvent, error)
	insert queries.InsertOutbox
}

// NewOutboxSchema returns a schema that asks event for what is kept of a message.
func NewOutboxSchema(event func(*message.Message) (queries.OutboxEvent, error)) *OutboxSchema {
	return &OutboxSchema{event: event}
}

var _ wsql.SchemaAdapter = (*OutboxSchema)(nil)

var errRelayReads = errors.New("the outbox table is read by the relay, not by a watermill-sql subscriber")

// InsertQuery implements wsql.SchemaAdapter.
func (s *OutboxSchema) InsertQuery(_ string, msgs message.Messages) (wsql.Query, error) {
	events := make([]queries.OutboxEvent, 0, len(msgs))
	for _, msg := range msgs {
		event, err := s.event(msg)
		if err != nil {
			return wsql.Query{}, fmt.Errorf("reading event %s for the outbox: %w", msg.UUID, err)
		}
		events = append(events, event)
	}
	query, args, err := s.insert.Build(events)
	if err != nil {
		return wsql.Query{}, fmt.Errorf("making rows of the outbox: %w", err)
	}
	return wsql.Query{Query: query, Args: args}, nil
}

// Inserted returns the rows that the transaction has got by the last query, or nil if
// it cannot tell.
func (s *OutboxSchema) Inserted(tx *queries.Tx) []queries.OutboxRow { return s.insert.Inserted(tx) }

// SelectQuery implements wsql.SchemaAdapter; it returns no query.
func (s *OutboxSchema) SelectQuery(string, string, wsql.OffsetsAdapter) wsql.Query {
	return wsql.Query{}
}

// UnmarshalMessage implements wsql.SchemaAdapter; it always fails.
func (s *OutboxSchema) UnmarshalMessage(wsql.Scanner) (wsql.Row, error) {
	return wsql.Row{}, errRelayReads
}

// SchemaInitializingQueries implements wsql.SchemaAdapter: the table comes from
// the migrations.
func (s *OutboxSchema) SchemaInitializingQueries(string) []wsql.Query {
	return nil
}

// SubscribeIsolationLevel implements wsql.SchemaAdapter.
func (s *OutboxSchema) SubscribeIsolationLevel() sql.IsolationLevel {
	return sql.LevelDefault
}
