package queries_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

func TestLookingMessagesUp(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), queriestest.New(t)
	reader := queries.NewReader(db)
	t.Cleanup(reader.Close)
	one, two := queriestest.Chat(t, db, 1, 2), queriestest.Chat(t, db, 1, 3)
	fill(t, db, one, 20) // 2 sends the odd positions, 1 the even ones
	fill(t, db, two, 6)

	for name, c := range map[string]struct {
		senders []int64
		id      string
		want    []int64
	}{
		"by sender and id":                {[]int64{1}, fmt.Sprintf("%d-4", one), []int64{4}},
		"by the members of a chat and id": {[]int64{1, 2}, fmt.Sprintf("%d-5", one), []int64{5}},
		"somebody else's":                 {[]int64{1}, fmt.Sprintf("%d-5", one), []int64{}},
		"unknown":                         {[]int64{1, 2, 3}, "nothing", []int64{}},
		"of nobody":                       {nil, fmt.Sprintf("%d-5", one), []int64{}},
	} {
		found, err := reader.FindSent(ctx, c.senders, c.id)
		require.NoError(t, err, name)
		require.Equal(t, c.want, seqs(found), name)
	}

	latest, err := reader.LatestOfSender(ctx, 1, 0, 3)
	require.NoError(t, err)
	require.Equal(t, []int64{20, 18, 16}, seqs(latest), "the newest first")
	require.Equal(t, "message 20", latest[0].Body)
	require.False(t, latest[0].DeliveredAt.IsZero())
	latest, err = reader.LatestOfSender(ctx, 1, two, 2)
	require.NoError(t, err)
	require.Equal(t, []int64{6, 4}, seqs(latest))
	latest, err = reader.LatestOfSender(ctx, 99, 0, 2)
	require.NoError(t, err)
	require.Empty(t, latest)
}

func TestFindingAnEventInTheOutbox(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), queriestest.New(t)
	reader := queries.NewReader(db)
	t.Cleanup(reader.Close)
	near, far := uuid.New(), uuid.New()

	found, err := reader.FindOutbox(ctx, near)
	require.NoError(t, err)
	require.Equal(t, queries.Waiting{Complete: true}, found, "nothing waits")

	queriestest.PutEvents(t, db, []queries.OutboxEvent{
		{ID: uuid.New(), UserID: 1, Name: "delivered", Payload: []byte(near.String())}, // named, but not it
		{ID: near, UserID: 1, Name: "delivered", Payload: []byte("{}")},
	})
	// As the release before wrote it.
	_, err = db.Exec(`INSERT INTO outbox (event_id, user_id, name, payload) VALUES ($1, 1, 'delivered', '{}')`, near)
	require.NoError(t, err)
	found, err = reader.FindOutbox(ctx, near)
	require.NoError(t, err)
	require.True(t, found.Complete)
	require.Len(t, found.Rows, 2)
	require.Less(t, found.Rows[0].ID, found.Rows[1].ID)
	require.False(t, found.Rows[0].CreatedAt.IsZero())

	_, err = db.Exec(`INSERT INTO outbox (event_id, user_id, name, payload)
SELECT gen_random_uuid(), 1, 'delivered', '{}' FROM generate_series(1, 25000)`)
	require.NoError(t, err)
	queriestest.PutEvents(t, db, []queries.OutboxEvent{{ID: far, UserID: 1, Name: "delivered", Payload: []byte("{}")}})
	found, err = reader.FindOutbox(ctx, far)
	require.NoError(t, err)
	require.Equal(t, queries.Waiting{Complete: false}, found, "too many wait to say that it does not")
	found, err = reader.FindOutbox(ctx, near)
	require.NoError(t, err)
	require.Len(t, found.Rows, 2)
}

// A look-up by key must not read the table, whatever the planner believes of it:
// prepared statements keep the plan that they got when it was empty.
func TestLookUpsUseTheIndexThatIsThere(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	db.SetMaxOpenConns(1) // the prepared statement is the connection's
	_, err := db.Exec(`SET plan_cache_mode = force_generic_plan`)
	require.NoError(t, err)
	_, err = db.Exec(`PREPARE look AS ` + statementConstants(t)["findSentStatement"])
	require.NoError(t, err)
	blocks := func() int {
		var text []byte
		require.NoError(t, db.Get(&text, `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE look ('{1,2}', '17')`))
		var explained []struct{ Plan node }
		require.NoError(t, json.Unmarshal(text, &explained))
		explained[0].Plan.walk(func(n node) {
			if n.Relation == "messages" {
				require.Equal(t, "messages_idempotency_key", n.Index, "%s", text)
			}
		})
		return explained[0].Plan.Hit + explained[0].Plan.Read
	}
	blocks()
	fill(t, db, queriestest.Chat(t, db, 1, 2), 20_000)
	require.Less(t, blocks(), 20)
}
