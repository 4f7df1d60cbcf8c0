package queries_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

func TestOutbox(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	ctx := within(t)
	events := []queries.OutboxEvent{
		{ID: uuid.New(), ChatID: 7, UserID: 1, Name: "a", Payload: []byte(`{"x":"ü"}`)},
		{ID: uuid.New(), ChatID: 0, UserID: 2, Name: "b", Payload: []byte("{\t}")},
		{ID: uuid.New(), ChatID: 9223372036854775807, UserID: -1, Name: "", Payload: []byte{}},
	}
	require.Zero(t, waiting(t, db))
	queriestest.PutEvents(t, db, events)
	queriestest.PutEvents(t, db, events[:1])

	outbox, err := db.LockOutbox(ctx)
	require.NoError(t, err)
	require.NotNil(t, outbox)
	second, err := db.LockOutbox(ctx)
	require.NoError(t, err)
	require.Nil(t, second, "one relay at a time")

	read, err := outbox.Read(ctx, 0, 10)
	require.NoError(t, err)
	require.Len(t, read, 2, "events that are written together share a row")
	require.Equal(t, events, read[0].Events)
	require.Equal(t, events[:1], read[1].Events)
	require.Less(t, read[0].ID, read[1].ID)
	require.False(t, read[0].CreatedAt.IsZero())
	require.Equal(t, 4, waiting(t, db))

	behind, err := outbox.Read(ctx, read[0].ID, 10)
	require.NoError(t, err)
	require.Equal(t, read[1:], behind)
	one, err := outbox.Read(ctx, 0, 1)
	require.NoError(t, err)
	require.Equal(t, read[:1], one)

	require.NoError(t, outbox.Keep(ctx, []queries.OutboxRow{{ID: read[0].ID, Events: events[1:]}}))
	require.Equal(t, 3, waiting(t, db))
	kept, err := outbox.Read(ctx, 0, 10)
	require.NoError(t, err)
	require.Equal(t, []queries.OutboxRow{{ID: read[0].ID, CreatedAt: read[0].CreatedAt, Events: events[1:]}, read[1]}, kept)

	outbox.Done([]int64{read[0].ID})
	require.True(t, outbox.Pending())
	left, err := outbox.Read(ctx, 0, 10)
	require.NoError(t, err)
	require.Equal(t, read[1:], left, "what is done is not read again")
	require.False(t, outbox.Pending())
	require.Equal(t, 1, waiting(t, db))

	outbox.Done([]int64{read[1].ID})
	nothing, err := outbox.Read(ctx, read[1].ID, 10)
	require.NoError(t, err)
	require.Empty(t, nothing)
	require.Zero(t, waiting(t, db), "and is deleted by a read of what is behind it")

	queriestest.PutEvents(t, db, events)
	again, err := outbox.Read(ctx, 0, 10)
	require.NoError(t, err)
	outbox.Done([]int64{again[0].ID})
	require.NoError(t, outbox.Delete(ctx))
	require.Zero(t, waiting(t, db))
	require.False(t, outbox.Pending())
	require.NoError(t, outbox.Delete(ctx), "of nothing")
	outbox.Close()
	third, err := db.LockOutbox(ctx)
	require.NoError(t, err)
	require.NotNil(t, third, "closing gives the lock back")
	third.Close()
}

// A row is no larger than a page, so that it is read and written in one piece.
func TestEventsFillRowsOfAPage(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	ctx := within(t)
	var events []queries.OutboxEvent
	for i, size := range []int{300, 8000, 10, 100_000, 10, 10} {
		events = append(events, queries.OutboxEvent{
			ID: uuid.New(), ChatID: int64(i), UserID: 1, Name: "a", Payload: []byte(strings.Repeat("x", size)),
		})
	}
	for range 200 {
		events = append(events, queries.OutboxEvent{ID: uuid.New(), UserID: 1, Name: "a", Payload: []byte(strings.Repeat("y", 400))})
	}
	queriestest.PutEvents(t, db, events)
	outbox, err := db.LockOutbox(ctx)
	require.NoError(t, err)
	defer outbox.Close()
	rows, err := outbox.Read(ctx, 0, 1000)
	require.NoError(t, err)
	var read []queries.OutboxEvent
	var sizes []int
	for _, row := range rows {
		read = append(read, row.Events...)
		sizes = append(sizes, len(row.Events))
	}
	require.Equal(t, events, read)
	require.Equal(t, []int{1, 1, 1, 1}, sizes[:4], "a long event stands alone")
	require.Less(t, len(rows), 20)
	// The longest event is elsewhere, in pieces, and nothing else is.
	var outside int
	require.NoError(t, db.GetContext(ctx, &outside, `SELECT count(*) FROM outbox WHERE pg_column_size(events) > 8100`))
	require.Equal(t, 1, outside)
	var toast int
	require.NoError(t, db.GetContext(ctx, &toast, `
SELECT pg_relation_size(reltoastrelid) / current_setting('block_size')::int FROM pg_class WHERE oid = 'outbox'::regclass`))
	require.InDelta(t, 100_000/8192, toast, 2, "rows of a page were torn")
}

// A line break would end the event's line. In JSON it means no more than a space.
func TestALineBreakInAPayloadIsASpace(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	queriestest.PutEvents(t, db, []queries.OutboxEvent{
		{ID: uuid.New(), UserID: 1, Name: "a", Payload: []byte("{\n \"a\": 1,\n\n \"b\": 2\n}\n")},
		{ID: uuid.New(), UserID: 1, Name: "a", Payload: []byte("{}")},
	})
	outbox, err := db.LockOutbox(within(t))
	require.NoError(t, err)
	defer outbox.Close()
	rows, err := outbox.Read(within(t), 0, 10)
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.Len(t, rows[0].Events, 2)
	require.Equal(t, `{  "a": 1,   "b": 2 } `, string(rows[0].Events[0].Payload))
}

func TestAnEventWhoseNameWouldEndItsFieldIsRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a\tb", "a\n"} {
		var insert queries.InsertOutbox
		_, _, err := insert.Build([]queries.OutboxEvent{{Name: "good"}, {Name: name}})
		require.ErrorContains(t, err, "name of an event")
	}
}

// Rows that the release before wrote, or still writes while it is replaced, hold
// one event in columns.
func TestARowOfTheReleaseBeforeIsRead(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	ctx := within(t)
	ids := []uuid.UUID{uuid.New(), uuid.New()}
	_, err := db.ExecContext(ctx, `INSERT INTO outbox (event_id, chat_id, user_id, name, payload)
VALUES ($1, 7, 1, 'a', E'{"x":\t"ü"}'), ($2, NULL, 2, 'b', E'{\n}')`, ids[0], ids[1])
	require.NoError(t, err)
	outbox, err := db.LockOutbox(ctx)
	require.NoError(t, err)
	defer outbox.Close()
	rows, err := outbox.Read(ctx, 0, 10)
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, []queries.OutboxEvent{{ID: ids[0], ChatID: 7, UserID: 1, Name: "a", Payload: []byte("{\"x\":\t\"ü\"}")}}, rows[0].Events)
	require.Equal(t, []queries.OutboxEvent{{ID: ids[1], UserID: 2, Name: "b", Payload: []byte("{ }")}}, rows[1].Events)
	require.Equal(t, 2, waiting(t, db))
}

// What is no event is an error and not skipped: it would be deleted with its row.
func TestARowThatIsNoneIsAnError(t *testing.T) {
	t.Parallel()
	good := uuid.NewString() + "\t7\t1\ta\t{}"
	for name, text := range map[string]string{
		"its end is missing": good,
		"fields are missing": "x\n",
		"no id":              strings.Replace(good, "-", "x", 1) + "\n",
		"no chat":            strings.Replace(good, "7", "seven", 1)[:36] + "\tseven\t1\ta\t{}\n",
		"no user":            good[:36] + "\t7\t\ta\t{}\n",
		"the second is none": good + "\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := queriestest.New(t)
			_, err := db.ExecContext(within(t), `INSERT INTO outbox (events) VALUES ($1)`, text)
			require.NoError(t, err)
			outbox, err := db.LockOutbox(within(t))
			require.NoError(t, err)
			defer outbox.Close()
			_, err = outbox.Read(within(t), 0, 10)
			require.ErrorContains(t, err, "reading row 1 of the outbox")
		})
	}
}

func waiting(t testing.TB, db *queries.DB) int {
	t.Helper()
	n, _, err := db.OutboxBacklog(context.Background())
	require.NoError(t, err)
	return n
}
