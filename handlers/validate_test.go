package handlers_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"chat-messaging/handlers"
)

func TestValidateSettlesWhatIsNoMessageAndPassesOnTheRest(t *testing.T) {
	t.Parallel()
	settled := &handlers.Item{Payload: []byte("not JSON, but decided already"), Verdict: handlers.Accepted}
	batch := &handlers.Batch{Items: []*handlers.Item{
		{Payload: []byte(with())},
		{Payload: []byte("hello")},
		{Payload: []byte(with("body", `""`))},
		{Payload: []byte(with()), ContentEncoding: "gzip"},
		settled,
		{Payload: []byte(with("sender_id", "3"))},
	}}
	require.NoError(t, handlers.Validate(handlers.Limits{})(context.Background(), batch))

	var verdicts []string
	for _, item := range batch.Items {
		verdicts = append(verdicts, item.Verdict.String())
	}
	assert.Equal(t, []string{"open", "poisoned", "rejected", "poisoned", "accepted", "open"}, verdicts)

	assert.Equal(t, int64(1), batch.Items[0].Message.SenderID)
	assert.Equal(t, int64(3), batch.Items[5].Message.SenderID)
	assert.Equal(t, handlers.FailMalformedJSON, batch.Items[1].Failure.Code)
	assert.Equal(t, "validate", batch.Items[1].Failure.Stage)
	assert.Equal(t, handlers.RejectInvalidBody, batch.Items[2].Rejection)
	assert.Equal(t, "m-1", batch.Items[2].Message.ClientMessageID)
	assert.Equal(t, handlers.FailEncoding, batch.Items[3].Failure.Code)
	assert.Zero(t, settled.Message, "a settled item is left alone")
}

func TestValidateObeysItsLimits(t *testing.T) {
	t.Parallel()
	batch := &handlers.Batch{Items: []*handlers.Item{{Payload: []byte(with("body", `"hello!"`))}}}
	require.NoError(t, handlers.Validate(handlers.Limits{MaxBodyBytes: 5})(context.Background(), batch))
	assert.Equal(t, handlers.RejectBodyTooLong, batch.Items[0].Rejection)
}

func BenchmarkValidate(b *testing.B) {
	validate := handlers.Validate(handlers.Limits{})
	const size = 1000
	batch := &handlers.Batch{}
	for range size {
		batch.Items = append(batch.Items, &handlers.Item{Payload: []byte(typical), ContentEncoding: "utf-8"})
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := validate(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/size, "ns/msg")
}
