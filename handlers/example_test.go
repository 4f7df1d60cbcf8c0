package handlers_test

import (
	"context"
	"fmt"
	"strings"

	"chat-messaging/handlers"
)

// rejectShouting is all there is to a handler of one's own. To put it to work,
// add it to the pipeline's chain behind validate, which fills item.Message.
func rejectShouting(_ context.Context, _ *handlers.Batch, item *handlers.Item) error {
	text := item.Message.Body
	if text == strings.ToUpper(text) && text != strings.ToLower(text) {
		item.Reject(handlers.Rejection{Code: "shouting", Reason: "Please do not shout."})
	}
	return nil
}

func ExampleEach() {
	chain := handlers.Chain(
		handlers.Validate(handlers.Limits{}),
		handlers.Each(rejectShouting),
	)

	message := `{"client_message_id":"m-1","chat_id":"77","sender_id":1,"recipient_id":2,
		"sent_at":"2025-12-16T20:19:31.123456Z","body":%q}`
	batch := &handlers.Batch{Items: []*handlers.Item{
		{Payload: fmt.Appendf(nil, message, "Hello!")},
		{Payload: fmt.Appendf(nil, message, "HELLO!")},
		{Payload: []byte("hello?")},
	}}
	if err := chain(context.Background(), batch); err != nil {
		fmt.Println(err)
		return
	}
	for _, item := range batch.Items {
		fmt.Printf("%-8s  %q\n", item.Verdict, item.Rejection.Code)
	}
	// Output:
	// open      ""
	// rejected  "shouting"
	// poisoned  ""
}
