package handlers_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/handlers"
	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// BenchmarkChain runs each link of the chain, and all of them, over a batch as it
// is under full load: a thousand messages of as many chats. The database is
// somewhere that costs nothing, so what is measured is our own work.
func BenchmarkChain(b *testing.B) {
	policy, err := handlers.DefaultPolicy()
	require.NoError(b, err)
	validate := handlers.Validate(handlers.Limits{})
	authorize := handlers.Authorize(everyChat(), policy)
	republish := handlers.Republish(handlers.EventMarshaler{})
	leave := func(*handlers.Item) {}
	reopen := func(i *handlers.Item) { i.Verdict, i.Stored = handlers.Open, nil }
	all := handlers.Chain(validate, authorize, handlers.Persist, republish)
	for _, bench := range []struct {
		name   string
		before []handlers.Handler // once
		link   handlers.Handler
		// reset gives an item back the state in which the link finds it.
		reset func(*handlers.Item)
	}{
		{"validate", nil, validate, leave},
		{"authorize", []handlers.Handler{validate}, authorize, leave},
		{"persist", []handlers.Handler{validate, authorize}, handlers.Persist, reopen},
		{"republish", []handlers.Handler{validate, authorize, handlers.Persist}, republish, leave},
		{"all", nil, all, reopen},
	} {
		b.Run(bench.name, func(b *testing.B) {
			batch := benchBatch(b)
			for _, link := range bench.before {
				require.NoError(b, link(context.Background(), batch))
			}
			b.ReportAllocs()
			for b.Loop() {
				batch.Events = nil
				for _, item := range batch.Items {
					bench.reset(item)
				}
				if err := bench.link(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(batch.Items)), "ns/msg")
		})
	}
}

// benchBatch is a batch with a transaction that goes nowhere.
func benchBatch(b *testing.B) *handlers.Batch {
	b.Helper()
	writer := queries.NewWriter(queriestest.Nowhere(b))
	b.Cleanup(writer.Close)
	tx, err := writer.Begin(context.Background())
	require.NoError(b, err)
	batch := &handlers.Batch{Tx: tx}
	for i := range 1000 {
		payload := with("chat_id", fmt.Sprintf(`"%d"`, i+1), "client_message_id", fmt.Sprintf(`"m-%d"`, i))
		batch.Items = append(batch.Items, &handlers.Item{Payload: []byte(payload), ContentEncoding: "utf-8"})
	}
	return batch
}

// everyChat is a policy information point for which the users 1 and 2 are in
// every chat.
func everyChat() handlers.Attributes {
	members := []int64{1, 2}
	return func(_ context.Context, _ *queries.Tx, ids []int64) (map[int64]*queries.Chat, error) {
		chats := make(map[int64]*queries.Chat, len(ids))
		for _, id := range ids {
			chats[id] = &queries.Chat{ID: id, Members: members}
		}
		return chats, nil
	}
}
