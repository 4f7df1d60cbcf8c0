package middleware_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"chat-messaging/middleware"
	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// BenchmarkOutbox takes messages through the line of arrivals and the outbox, in
// a goroutine each as the router does, over a transaction that goes nowhere. The
// time is that of one message.
func BenchmarkOutbox(b *testing.B) {
	payload := []byte(strings.Repeat("x", 400))
	event := message.NewMessage(uuid.NewString(), payload)
	for _, bench := range []struct {
		name   string
		handle message.HandlerFunc
	}{
		{"no events", func(*message.Message) ([]*message.Message, error) { return nil, nil }},
		{"an event each", func(carrier *message.Message) ([]*message.Message, error) {
			events := make([]*message.Message, len(middleware.BatchFrom(carrier.Context()).Messages))
			for i := range events {
				events[i] = event
			}
			return events, nil
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			const window = 2000
			arrivals, handle := benchOutbox(b, bench.handle)
			places := make(chan struct{}, window)
			var all sync.WaitGroup
			b.ReportAllocs()
			for b.Loop() {
				places <- struct{}{}
				msg := message.NewMessage("", payload)
				msg.SetContext(middleware.WithTicket(context.Background(), arrivals.Issue()))
				all.Go(func() {
					defer func() { <-places }()
					if _, err := handle(msg); err != nil {
						b.Error(err)
					}
				})
			}
			all.Wait()
		})
	}
}

func benchOutbox(b *testing.B, next message.HandlerFunc) (*middleware.Arrivals, message.HandlerFunc) {
	b.Helper()
	writer := queries.NewWriter(queriestest.Nowhere(b))
	arrivals := middleware.NewArrivals()
	outbox, err := middleware.NewOutbox(middleware.OutboxConfig{
		Arrivals: arrivals,
		Begin:    writer.Begin,
		Schema: middleware.NewOutboxSchema(func(msg *message.Message) (queries.OutboxEvent, error) {
			return queries.OutboxEvent{ID: uuid.UUID{1}, UserID: 1, Name: "bench", Payload: msg.Payload}, nil
		}),
		Isolate: func(error) bool { return false },
		Condemn: func(err error) error { return err },
		Probe:   func(context.Context) error { return nil },
	})
	require.NoError(b, err)
	b.Cleanup(func() {
		outbox.Close()
		writer.Close()
	})
	return arrivals, outbox.Middleware(next)
}
