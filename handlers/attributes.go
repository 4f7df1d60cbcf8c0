package handlers

import (
	"context"

	"chat-messaging/queries"
)

// Attributes is the policy information point of the chain: it fetches what the
// decisions about a whole batch need, in one statement. ids are different chats;
// those that do not exist are left out.
type Attributes func(ctx context.Context, tx *queries.Tx, ids []int64) (map[int64]*queries.Chat, error)

// ChatMembers reads who is in the chats, or remembers it: a chat is the set of its
// members, so what was read once cannot have changed.
func ChatMembers(ctx context.Context, tx *queries.Tx, ids []int64) (map[int64]*queries.Chat, error) {
	return tx.ReadChats(ctx, ids)
}
