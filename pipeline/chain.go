package pipeline

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"chat-messaging/handlers"
	"chat-messaging/middleware"
	"chat-messaging/middleware/failpoint"
	"chat-messaging/queries"
)

// chain is the one ordered list of what happens to a message.
func chain(c *Config) handlers.Handler {
	links := []handlers.Handler{
		// First, because everything behind it works with fields, and because it
		// needs no database: what is no message costs no query.
		handlers.Validate(c.Limits),
		// Before anything is written: what is not permitted takes no position.
		handlers.Authorize(handlers.ChatMembers, c.Policy),
	}
	// What others add sees only messages that may be sent, and can still stop
	// them.
	links = append(links, c.BeforePersist...)
	return handlers.Chain(append(links,
		// Settles every message that is still open: behind it nothing is.
		handlers.Persist,
		// Last, because an event tells what the others have decided.
		handlers.Republish(handlers.EventMarshaler{}),
	)...)
}

// perDelivery is the one ordered list of what stands around each delivery,
// outermost first, which is the order in which a router wants them.
func (p *Pipeline) perDelivery() ([]message.HandlerMiddleware, error) {
	poison, err := middleware.Poison(middleware.PoisonConfig{
		Permanent:     isPermanent,
		Park:          p.park,
		OnParkFailure: p.metrics.parkFailed(p.cfg.Logger),
	})
	if err != nil {
		return nil, err
	}
	return []message.HandlerMiddleware{
		// Outermost: it counts what all the others took.
		middleware.Observe(p.metrics.delivery),
		// Outside the outbox: a message is parked after its batch is committed, so
		// the others do not wait for the poison queue.
		poison,
		// Innermost: here the message waits for its batch.
		p.outbox.Middleware,
	}, nil
}

// perBatch is the one ordered list of what stands around each transaction,
// outermost first.
func (p *Pipeline) perBatch() []message.HandlerMiddleware {
	return []message.HandlerMiddleware{
		// Outermost: the span covers all tries.
		middleware.Trace(p.cfg.Tracer),
		// Outside the transaction: each try has one of its own. Around the batch,
		// not around a delivery, so that no message leaves its place in the order.
		middleware.Retry(middleware.RetryConfig{
			ShouldRetry: func(err error) bool {
				// Where only a chat is locked the others go on: see the outbox.
				return !isolates(err) && !errors.Is(err, queries.ErrChatLocked) && !failpoint.Mutated(failpoint.NackOnDatabaseError)
			},
			AtOnce:  func(err error) bool { return queries.Classify(err) == queries.FaultConflict },
			OnRetry: p.onRetry,
		}),
		// Innermost, so that the transaction of a handler that panics is rolled
		// back and the panic blames one message, not the process.
		middleware.Recover,
	}
}

// isPermanent tells the errors that belong into the poison queue: only what a
// handler said is one.
func isPermanent(err error) bool {
	var failure *handlers.Failure
	return errors.As(err, &failure)
}

// isolates tells the errors that one message of a batch is to blame for.
func isolates(err error) bool {
	var panicked *middleware.PanicError
	return errors.As(err, &panicked) || queries.Classify(err) == queries.FaultData
}

// condemn makes the permanent failure of a message that failed alone, while
// the database was healthy.
func condemn(err error) error {
	if panicked, ok := errors.AsType[*middleware.PanicError](err); ok {
		return &handlers.Failure{Stage: stageHandling, Code: "panic", Detail: panicked.Error()}
	}
	return &handlers.Failure{Stage: stageHandling, Code: "data_error", Detail: fmt.Sprintf("the database refuses a value: %v", err)}
}

// stageHandling stands for the chain as a whole where no single handler is to
// blame.
const stageHandling = "handling"
