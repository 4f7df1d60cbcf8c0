package middleware

import (
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Observe tells how long each message took from here to its verdict. It stands
// outermost, so that parking and waiting for the batch are counted.
func Observe(finished func(took time.Duration, err error)) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			started := time.Now()
			produced, err := next(msg)
			finished(time.Since(started), err)
			return produced, err
		}
	}
}
