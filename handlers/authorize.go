package handlers

import (
	"context"
	"fmt"

	"chat-messaging/middleware/failpoint"
)

// Decider is the policy decision point; *Policy is ours.
type Decider interface {
	Decide(action string, user int64, members []int64, other int64) (permit bool, policyID string)
}

// Authorize is the policy enforcement point: it gets the attributes of every
// chat that the batch names, asks the decider about each message, and rejects
// what is not permitted. An attribute that cannot be had fails the batch: nothing
// is ever permitted for lack of information.
func Authorize(attributes Attributes, decider Decider) Handler {
	return func(ctx context.Context, b *Batch) error {
		failpoint.Hit(failpoint.AfterDecode)
		ids := make([]int64, 0, len(b.Items))
		seen := make(map[int64]struct{}, len(b.Items))
		for _, item := range b.Items {
			if item.Verdict != Open {
				continue
			}
			id, ok := item.Message.ChatKey()
			if _, again := seen[id]; ok && !again {
				seen[id] = struct{}{}
				ids = append(ids, id)
			}
		}
		var err error
		if b.Chats, err = attributes(ctx, b.Tx, ids); err != nil {
			return fmt.Errorf("authorizing: %w", err)
		}
		for _, item := range b.Items {
			if item.Verdict == Open {
				enforce(decider, b, item)
			}
		}
		return nil
	}
}

func enforce(decider Decider, b *Batch, item *Item) {
	id, ok := item.Message.ChatKey()
	chat := b.Chats[id]
	if !ok || chat == nil {
		item.Reject(RejectUnknownChat)
		return
	}
	if chat.Busy {
		item.Verdict = Held
		return
	}
	permit, policy := decider.Decide(ActionSend, item.Message.SenderID, chat.Members, item.Message.RecipientID)
	item.Policy = policy
	if !permit {
		item.Reject(RejectNotRelated)
	}
}
