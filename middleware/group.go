package middleware

import (
	"context"
	"errors"

	"github.com/ThreeDotsLabs/watermill/message"
)

// A group is deliveries that had arrived together and travel through the router
// as one message, because a goroutine, a context and a pair of channels for each
// of them cost as much as all the rest that is done for it. The message that
// carries a group has no payload; its members are in its context, in the order of
// their arrival. A group changes nothing for its members but the company they
// come in: each is decided, counted and, if need be, parked on its own. Only its
// acknowledgement is one, when all of them are settled.

type groupKey struct{}

// GroupKey is the key under which the context of a carrying message holds its
// members, a []*message.Message.
func GroupKey() any { return groupKey{} }

// GroupFrom returns the members that the context's message carries, nil if it
// carries none but is a message itself.
func GroupFrom(ctx context.Context) []*message.Message {
	members, _ := ctx.Value(groupKey{}).([]*message.Message)
	return members
}

// WithGroup returns a context that makes its message carry members.
func WithGroup(ctx context.Context, members []*message.Message) context.Context {
	return context.WithValue(ctx, groupKey{}, members)
}

// Verdicts is the error of a group of which some members failed: one for each
// member, nil for those that are settled. errors.Is and As see all of them.
type Verdicts []error

// Error implements error.
func (v Verdicts) Error() string { return errors.Join(v...).Error() }

// Unwrap lets errors.Is and As look at every member's.
func (v Verdicts) Unwrap() []error {
	failed := make([]error, 0, len(v))
	for _, err := range v {
		if err != nil {
			failed = append(failed, err)
		}
	}
	return failed
}

// verdict is what a message gets whose members got these: nil if all are
// settled, and a single message its own.
func verdict(members []error, single bool) error {
	if single {
		return members[0]
	}
	for _, err := range members {
		if err != nil {
			return append(Verdicts(nil), members...)
		}
	}
	return nil
}

// eachVerdict calls fn with the verdict of every member of a message, which is
// the message itself if it carries none.
func eachVerdict(msg *message.Message, err error, fn func(*message.Message, error)) {
	members := GroupFrom(msg.Context())
	if members == nil {
		fn(msg, err)
		return
	}
	verdicts, each := errors.AsType[Verdicts](err)
	for i, member := range members {
		if each {
			err = verdicts[i]
		}
		fn(member, err)
	}
}
