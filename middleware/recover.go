package middleware

import (
	"fmt"
	"runtime/debug"

	"github.com/ThreeDotsLabs/watermill/message"
)

// PanicError is a handler's panic as an error. Its text is short, because it
// may become the reason header of a poisoned message, and a header over one
// frame costs the whole connection; the stack is for the log.
type PanicError struct {
	Value any
	Stack []byte
}

// Error implements error.
func (e *PanicError) Error() string {
	// The precision cuts texts only, so the value becomes one first.
	return fmt.Sprintf("panic: %.200s", fmt.Sprint(e.Value))
}

// Recover turns a handler's panic into a PanicError. Without it the router
// would nack, and the broker would deliver the same message again at once.
func Recover(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) (produced []*message.Message, err error) {
		defer func() {
			if v := recover(); v != nil {
				produced, err = nil, &PanicError{Value: v, Stack: debug.Stack()}
			}
		}()
		return next(msg)
	}
}
