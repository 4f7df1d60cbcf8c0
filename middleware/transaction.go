package middleware

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"

	"chat-messaging/middleware/failpoint"
	"chat-messaging/queries"
)

// errUnfinished is the result of a transaction whose handler panicked.
var errUnfinished = errors.New("the transaction was not brought to its end")

// transaction is the innermost ring: the handler and its events, all or nothing.
func (o *Outbox) transaction(next message.HandlerFunc) message.HandlerFunc {
	return func(carrier *message.Message) ([]*message.Message, error) {
		batch := BatchFrom(carrier.Context())
		started := time.Now()
		result := errUnfinished
		defer func() { o.cfg.Observe(len(batch.Messages), time.Since(started), result) }()
		result = o.commit(next, carrier, batch)
		return nil, result
	}
}

// commit runs the handler and makes what it did durable.
func (o *Outbox) commit(next message.HandlerFunc, carrier *message.Message, batch *Batch) error {
	// Detached from the message's context: a COMMIT that is under way when the
	// channel closes or the service stops must end one way or the other.
	outer := carrier.Context()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(outer), o.cfg.Timeout)
	defer cancel()
	carrier.SetContext(ctx)
	defer carrier.SetContext(outer)

	tx, err := o.cfg.Begin(ctx)
	if err != nil {
		return err
	}
	// Runs on errors and panics alike; after the commit it does nothing.
	defer tx.Rollback()
	failpoint.Hit(failpoint.AfterBegin)
	batch.begin(tx)
	events, err := next(carrier)
	if err != nil {
		return err
	}
	failpoint.Hit(failpoint.BeforeCommit)
	if err := o.store(tx, events); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	failpoint.Hit(failpoint.AfterCommit)
	if len(events) > 0 {
		o.cfg.Committed(o.cfg.Schema.Inserted(tx))
	}
	for _, fn := range batch.afterCommit {
		fn()
	}
	return nil
}

// outboxTopic is what watermill-sql calls our one table.
const outboxTopic = "outbox"

// store writes the events through watermill-sql. Publishing nothing would be an
// invalid statement and cost the transaction.
func (o *Outbox) store(tx *queries.Tx, events []*message.Message) error {
	if len(events) == 0 {
		return nil
	}
	tx.Last()
	publisher, err := wsql.NewPublisher(tx, wsql.PublisherConfig{SchemaAdapter: o.cfg.Schema}, watermill.NopLogger{})
	if err != nil {
		return fmt.Errorf("opening the outbox: %w", err)
	}
	if err := publisher.Publish(outboxTopic, events...); err != nil {
		return fmt.Errorf("writing events to the outbox: %w", err)
	}
	return nil
}
