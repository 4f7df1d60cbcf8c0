package queries_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

func TestConsumptionIsPausedAndResumedOnce(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), queriestest.New(t)

	never, err := db.Consumption(ctx, "q")
	require.NoError(t, err)
	require.Equal(t, queries.Consumption{Queue: "q"}, never, "nobody has paused it")
	_, changed, err := db.SetConsumption(ctx, "q", false, queries.Operator{Who: "ann", Via: "cli"}, "")
	require.NoError(t, err)
	require.False(t, changed, "what runs cannot be resumed")

	paused, changed, err := db.SetConsumption(ctx, "q", true, queries.Operator{Who: "ann", Via: "cli"}, "a migration")
	require.NoError(t, err)
	require.True(t, changed)
	require.WithinDuration(t, time.Now(), paused.ChangedAt, time.Minute)
	again, changed, err := db.SetConsumption(ctx, "q", true, queries.Operator{Who: "bob", Via: "rest"}, "something else")
	require.NoError(t, err)
	require.False(t, changed)
	require.Equal(t, paused, again, "who paused first, and why, stays")

	resumed, changed, err := db.SetConsumption(ctx, "q", false, queries.Operator{Who: "bob", Via: "rest"}, "migrated")
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, "bob", resumed.ChangedBy)
	require.Equal(t, "migrated", resumed.Reason)
	require.False(t, resumed.Paused)

	records, _, err := db.ListAudit(ctx, queries.AuditFilter{Action: "consumption"})
	require.NoError(t, err)
	require.Len(t, records, 4, "also what changed nothing")
	require.Equal(t, "consumption.resume", records[0].Action)
	require.Equal(t, "bob", records[0].Who)
	require.Equal(t, "migrated", records[0].Detail)
	require.JSONEq(t, `{"queue":"q"}`, string(records[0].Selection))
	require.EqualValues(t, 1, records[0].Affected)
	require.EqualValues(t, 0, records[1].Affected)

	other, err := db.Consumption(ctx, "another")
	require.NoError(t, err)
	require.False(t, other.Paused, "each queue has its own")
}

func TestOfManyOperatorsOnePauses(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	var changes atomic.Int32
	var group errgroup.Group
	for range 8 {
		group.Go(func() error {
			_, changed, err := db.SetConsumption(t.Context(), "q", true, queries.Operator{Who: "ann", Via: "cli"}, "a migration")
			if changed {
				changes.Add(1)
			}
			return err
		})
	}
	require.NoError(t, group.Wait())
	require.EqualValues(t, 1, changes.Load())
}
