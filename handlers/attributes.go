package handlers

import (
	"context"
	"time"

	"chat-messaging/queries"
)

// Attributes is the policy information point of the chain: it fetches what the
// decisions about a whole batch need, in one statement.
type Attributes func(ctx context.Context, tx *queries.Tx, chatIDs []int64) (map[int64]*queries.Chat, time.Time, error)

// LockedChats reads the members of chats from the rows that it locks for the
// batch. Nobody can change a chat between the decision and the commit, and the
// lock has to be taken anyway to give the messages their positions.
func LockedChats(ctx context.Context, tx *queries.Tx, chatIDs []int64) (map[int64]*queries.Chat, time.Time, error) {
	return tx.LockChats(ctx, chatIDs)
}
