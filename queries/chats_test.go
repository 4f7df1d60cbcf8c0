package queries_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

func TestReadChats(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	one, two := queriestest.Chat(t, db, 1, 2), queriestest.Chat(t, db, 5, 1<<62)
	ctx := within(t)
	w := newWriter(t, db)
	tx := begin(t, w)
	for range 2 { // the second time from memory
		chats, err := tx.ReadChats(ctx, []int64{two, one, 42, -1})
		require.NoError(t, err)
		require.Equal(t, map[int64]*queries.Chat{
			one: {ID: one, Members: []int64{1, 2}}, two: {ID: two, Members: []int64{5, 1 << 62}},
		}, chats)
	}
	chats, err := tx.ReadChats(ctx, nil)
	require.NoError(t, err)
	require.Empty(t, chats)

	// What was not there is looked for again.
	three := queriestest.Chat(t, db, 7, 8)
	chats, err = tx.ReadChats(ctx, []int64{three, one})
	require.NoError(t, err)
	require.Len(t, chats, 2)
	tx.Rollback()
}

func TestMoreChatsThanAreRemembered(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	ctx := within(t)
	const chats, atOnce = 100_000, 1000 // of two: three generations and more
	_, err := db.ExecContext(ctx, `INSERT INTO chats (id, member_ids) SELECT n, ARRAY[n, n + 1000000] FROM generate_series(1, $1::int) AS n`, chats)
	require.NoError(t, err)
	tx := begin(t, newWriter(t, db))
	defer tx.Rollback()
	for first := range int64(chats / atOnce) {
		ids := make([]int64, atOnce)
		for i := range ids {
			ids[i] = first*atOnce + int64(i) + 1
		}
		ids[0] = 1 // always in use
		read, err := tx.ReadChats(ctx, ids)
		require.NoError(t, err)
		require.Len(t, read, atOnce)
		for _, id := range ids {
			require.Equal(t, []int64{id, id + 1000000}, read[id].Members)
		}
	}
}

func TestAdvanceChats(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	one, two := queriestest.Chat(t, db, 1, 2), queriestest.Chat(t, db, 3, 4)
	ctx := within(t)
	w := newWriter(t, db)
	for round := range int64(3) {
		tx := begin(t, w)
		a, b := &queries.Chat{ID: one, Taken: 3}, &queries.Chat{ID: two}
		now, err := tx.AdvanceChats(ctx, []*queries.Chat{a, b})
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), now, time.Minute)
		require.Equal(t, 3*round, a.LastSeq)
		require.Zero(t, b.LastSeq)
		require.NoError(t, tx.Commit())
	}
	tx := begin(t, w)
	defer tx.Rollback()
	now, err := tx.AdvanceChats(ctx, nil)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), now, time.Minute)
}

// Who has been remembered may be gone since; then it is as if it had never been.
func TestAChatThatIsGoneIsForgotten(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	gone, other := queriestest.Chat(t, db, 1, 2), queriestest.Chat(t, db, 3, 4)
	ctx := within(t)
	w := newWriter(t, db)
	tx := begin(t, w)
	chats, err := tx.ReadChats(ctx, []int64{gone, other})
	require.NoError(t, err)
	tx.Rollback()
	_, err = db.ExecContext(ctx, `DELETE FROM chats WHERE id = $1`, gone)
	require.NoError(t, err)

	tx = begin(t, w)
	_, err = tx.AdvanceChats(ctx, []*queries.Chat{chats[gone], chats[other]})
	require.Equal(t, queries.FaultConflict, queries.Classify(err), "%v", err)
	tx.Rollback()

	tx = begin(t, w)
	defer tx.Rollback()
	chats, err = tx.ReadChats(ctx, []int64{gone, other})
	require.NoError(t, err)
	require.Len(t, chats, 1)
	require.NotNil(t, chats[other])
}

func TestWritersOfTheSameChatsNeverWaitInACircle(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	ctx := within(t)
	var ids []int64
	for user := range int64(20) {
		ids = append(ids, queriestest.Chat(t, db, user+1, user+100))
	}
	const writers, rounds = 3, 50
	var g errgroup.Group
	for range writers {
		w := newWriter(t, db)
		g.Go(func() error {
			for range rounds {
				tx, err := w.Begin(ctx)
				if err != nil {
					return err
				}
				chats := make([]*queries.Chat, len(ids))
				for i, at := range rand.Perm(len(ids)) {
					chats[i] = &queries.Chat{ID: ids[at], Taken: 1}
				}
				if _, err := tx.AdvanceChats(ctx, chats); err != nil {
					return err
				}
				if err := tx.Commit(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	var seqs []int64
	require.NoError(t, db.SelectContext(ctx, &seqs, "SELECT DISTINCT last_seq FROM chats"))
	require.Equal(t, []int64{writers * rounds}, seqs)
}

// A chat that somebody else has locked is waited for, and then passed.
func TestLockedChatsArePassed(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	locked, free := queriestest.Chat(t, db, 1, 2), queriestest.Chat(t, db, 3, 4)
	ctx := within(t)
	holder := begin(t, newWriter(t, db))
	defer holder.Rollback()
	_, err := holder.AdvanceChats(ctx, []*queries.Chat{{ID: locked}})
	require.NoError(t, err)

	w := newWriter(t, db)
	tx := begin(t, w)
	_, err = tx.AdvanceChats(ctx, []*queries.Chat{{ID: free, Taken: 1}, {ID: locked, Taken: 1}})
	require.ErrorIs(t, err, queries.ErrChatLocked)
	tx.Rollback()

	tx = begin(t, w)
	defer tx.Rollback()
	busy := map[int64]struct{}{}
	tx.PassLocked(busy)
	for range 2 { // the second time without a look
		chats, err := tx.ReadChats(ctx, []int64{locked, free, 42})
		require.NoError(t, err)
		require.Len(t, chats, 2)
		require.True(t, chats[locked].Busy)
		require.False(t, chats[free].Busy)
		require.Equal(t, []int64{3, 4}, chats[free].Members)
		require.Equal(t, map[int64]struct{}{locked: {}}, busy)
	}
	_, err = tx.AdvanceChats(ctx, []*queries.Chat{{ID: free, Taken: 1}})
	require.NoError(t, err)
	// What was found free is locked, and stays so until the end.
	beside, err := db.BeginTxx(context.Background(), nil)
	require.NoError(t, err)
	defer func() { _ = beside.Rollback() }()
	var left []int64
	require.NoError(t, beside.SelectContext(ctx, &left, `SELECT id FROM chats FOR UPDATE SKIP LOCKED`))
	require.Empty(t, left)
}
