package queries_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// benchBatch is how many messages a batch of the benchmarks has: as many as one
// has under full load.
const benchBatch = 1000

// BenchmarkInsertOutboxBuild makes the rows of a batch of events.
func BenchmarkInsertOutboxBuild(b *testing.B) {
	events := make([]queries.OutboxEvent, benchBatch)
	payload := []byte(strings.Repeat("x", 400))
	for i := range events {
		events[i] = queries.OutboxEvent{
			ID: uuid.New(), ChatID: int64(i) + 1, UserID: int64(i) + 1, Name: "delivered", Payload: payload,
		}
	}
	var insert queries.InsertOutbox
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := insert.Build(events); err != nil {
			b.Fatal(err)
		}
	}
	perMessage(b)
}

// BenchmarkInsertMessages makes the arrays of a batch of messages and takes them
// as far as the driver.
func BenchmarkInsertMessages(b *testing.B) {
	ctx := context.Background()
	messages := make([]*queries.Message, benchBatch)
	for i := range messages {
		messages[i] = &queries.Message{
			ChatID: int64(i) + 1, Seq: 1, SenderID: 1, RecipientID: 2, DeliveredAt: time.Unix(1765916371, 0),
			ClientMessageID: fmt.Sprintf("0b9c7a0e-6f0e-4d59-9a44-6f1b2f0f%04x", i), SentAt: "2025-12-16T20:19:31.123456Z",
			Body: "See you at eight, then. I bring the map.",
		}
	}
	tx := beginNowhere(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := tx.InsertMessages(ctx, messages); err != nil {
			b.Fatal(err)
		}
	}
	perMessage(b)
}

// BenchmarkAdvanceChats does the same for the positions of as many chats.
func BenchmarkAdvanceChats(b *testing.B) {
	ctx := context.Background()
	chats := make([]*queries.Chat, benchBatch)
	for i := range chats {
		chats[i] = &queries.Chat{ID: int64(i) + 1, Taken: 1}
	}
	tx := beginNowhere(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tx.AdvanceChats(ctx, chats); err != nil {
			b.Fatal(err)
		}
	}
	perMessage(b)
}

// beginNowhere opens a transaction that goes nowhere.
func beginNowhere(b *testing.B) *queries.Tx {
	b.Helper()
	writer := queries.NewWriter(queriestest.Nowhere(b))
	b.Cleanup(writer.Close)
	tx, err := writer.Begin(context.Background())
	require.NoError(b, err)
	return tx
}

// perMessage divides the time of a batch.
func perMessage(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchBatch, "ns/msg")
}
