package queries

import (
	"context"
	"fmt"
	"time"

	"github.com/lib/pq"
)

// The channel is named after the schema, because notifications reach a whole
// database.
const outboxChannelExpression = `'chat_messaging_outbox_' || abs(hashtext(current_schema()))::text`

const notifyOutboxStatement = `SELECT pg_notify(` + outboxChannelExpression + `, '')`

// NotifyOutbox tells the relay, wherever it runs, that the outbox has rows. It
// is a hint: a relay that misses it finds the rows by the clock.
func (db *DB) NotifyOutbox(ctx context.Context) error {
	if _, err := db.ExecContext(ctx, notifyOutboxStatement); err != nil {
		return fmt.Errorf("notifying the relay: %w", err)
	}
	return nil
}

// ListenOutbox calls wake for each NotifyOutbox of the schema until the context
// ends, and reconnects by itself. A lost connection also wakes, because
// notifications may have been missed.
func (db *DB) ListenOutbox(ctx context.Context, wake func()) error {
	var channel string
	for {
		err := db.GetContext(ctx, &channel, `SELECT `+outboxChannelExpression)
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
	listener := pq.NewListener(db.url, 100*time.Millisecond, 5*time.Second, nil)
	defer func() { _ = listener.Close() }()
	if err := listener.Listen(channel); err != nil {
		return fmt.Errorf("listening for the outbox: %w", err)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-listener.NotificationChannel():
			wake()
		}
	}
}
