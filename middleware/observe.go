package middleware

import (
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Observe tells how long each message took from here to its verdict, also those
// that travelled as a group. It stands outermost, so that parking and waiting for
// the batch are counted.
func Observe(finished func(took time.Duration, err error)) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			started := time.Now()
			produced, err := next(msg)
			took := time.Since(started)
			eachVerdict(msg, err, func(_ *message.Message, err error) { finished(took, err) })
			return produced, err
		}
	}
}
