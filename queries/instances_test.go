package queries_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

func TestHeartbeatsKeepTwoReports(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), queriestest.New(t)
	id := uuid.New()
	first := queries.Report{
		Host: "a", PID: 7, Version: "v1", Components: []string{"pipeline"}, Consumer: "consuming", Relay: queries.RelayLeading,
		InHand: 3, Window: 500, BatchLimit: 250, Problems: map[string]string{"broker": "away"},
		Totals: queries.Totals{Accepted: 1, Dispatched: 1},
	}
	require.NoError(t, db.Heartbeat(ctx, id, first))
	list, err := db.Instances(ctx)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, first, list[0].Report)
	require.Nil(t, list[0].Earlier)

	second := first
	second.Totals.Accepted = 11
	require.NoError(t, db.Heartbeat(ctx, id, second))
	require.NoError(t, db.Heartbeat(ctx, uuid.New(), first))
	list, err = db.Instances(ctx)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, id, list[0].ID, "the oldest first")
	require.Equal(t, second, list[0].Report)
	require.Equal(t, &first, list[0].Earlier)
	require.Positive(t, list[0].EarlierBy)
	require.WithinDuration(t, time.Now(), list[0].SeenAt, time.Minute)
	require.Less(t, list[0].Silent, time.Minute)

	require.NoError(t, db.Leave(ctx, id))
	list, err = db.Instances(ctx)
	require.NoError(t, err)
	require.Len(t, list, 1)
}

func TestAnInstanceThatDiedIsForgotten(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), queriestest.New(t)
	dead, quiet := uuid.New(), uuid.New()
	require.NoError(t, db.Heartbeat(ctx, dead, queries.Report{}))
	require.NoError(t, db.Heartbeat(ctx, quiet, queries.Report{}))
	_, err := db.Exec(`UPDATE instances SET seen_at = now() - CASE id WHEN $1 THEN interval '1 hour' ELSE interval '30 seconds' END`, dead)
	require.NoError(t, err)

	list, err := db.Instances(ctx)
	require.NoError(t, err)
	require.Len(t, list, 1, "not listed any more, although nobody has removed it yet")
	require.Equal(t, quiet, list[0].ID)
	require.Greater(t, list[0].Silent, 29*time.Second)

	require.NoError(t, db.Heartbeat(ctx, uuid.New(), queries.Report{}))
	var left int
	require.NoError(t, db.Get(&left, `SELECT count(*) FROM instances WHERE id = $1`, dead))
	require.Zero(t, left)
}

// All are late for each other, so that each of them forgets the others and
// renews itself.
func TestInstancesDoNotBlockEachOther(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	ids := make([]uuid.UUID, 6)
	for i := range ids {
		ids[i] = uuid.New()
	}
	for range 5 {
		_, err := db.Exec(`UPDATE instances SET seen_at = now() - interval '1 hour'`)
		require.NoError(t, err)
		var group errgroup.Group
		for _, id := range ids {
			group.Go(func() error { return db.Heartbeat(t.Context(), id, queries.Report{}) })
		}
		require.NoError(t, group.Wait())
	}
}
