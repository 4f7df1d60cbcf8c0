package queries_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func newWriter(t *testing.T, db *queries.DB) *queries.Writer {
	t.Helper()
	w := queries.NewWriter(db)
	t.Cleanup(w.Close)
	return w
}

// newStore is a schema with a chat of users 1 and 2, and a writer on it.
func newStore(t *testing.T) (db *queries.DB, w *queries.Writer, chat int64) {
	t.Helper()
	db = queriestest.New(t)
	return db, newWriter(t, db), queriestest.Chat(t, db, 1, 2)
}

func begin(t *testing.T, w *queries.Writer) *queries.Tx {
	t.Helper()
	tx, err := w.Begin(within(t))
	require.NoError(t, err)
	return tx
}

func message(chat, seq int64, id, body string) *queries.Message {
	return &queries.Message{
		ChatID: chat, Seq: seq, SenderID: 1, RecipientID: 2, DeliveredAt: time.Unix(1700000000, 123456000).UTC(),
		Fingerprint: [16]byte{1, 2, 3, byte(seq)}, ClientMessageID: id, SentAt: "2025-12-16T20:19:31.123456Z", Body: body,
	}
}

func TestWhatIsInsertedIsFoundAgainToTheByte(t *testing.T) {
	t.Parallel()
	_, w, chat := newStore(t)
	ctx := within(t)
	tx := begin(t, w)
	stored := []*queries.Message{
		message(chat, 1, "a", "plain"),
		message(chat, 2, "", ""),
		message(chat, 3, `{"quoted","array"}`, "line\nbreak\ttab \\ ' \" {} , NULL"),
		message(chat, 4, "ü", "👩‍👩‍👧‍👦 \u202e rtl \uffff"),
	}
	require.NoError(t, tx.InsertMessages(ctx, stored))
	require.NoError(t, tx.Commit())

	tx = begin(t, w)
	defer tx.Rollback()
	var keys []queries.Key
	for _, m := range stored {
		keys = append(keys, queries.Key{SenderID: 1, ClientMessageID: m.ClientMessageID})
	}
	found, err := tx.FindMessages(ctx, append(keys, queries.Key{SenderID: 2, ClientMessageID: "a"}))
	require.NoError(t, err)
	require.Len(t, found, len(stored))
	for i, m := range stored {
		require.Equal(t, m, found[keys[i]])
	}
}

func TestADuplicateAsksForTheBatchToBeDoneAgain(t *testing.T) {
	t.Parallel()
	_, w, chat := newStore(t)
	ctx := within(t)
	tx := begin(t, w)
	require.False(t, tx.ExpectDuplicates())
	require.NoError(t, tx.InsertMessages(ctx, []*queries.Message{message(chat, 1, "a", "x")}))
	require.NoError(t, tx.Commit())

	tx = begin(t, w)
	require.NoError(t, tx.InsertMessages(ctx, []*queries.Message{message(chat, 2, "b", "y"), message(chat, 3, "a", "z")}))
	err := tx.Commit()
	require.Error(t, err)
	require.Equal(t, queries.FaultConflict, queries.Classify(err))
	tx.Rollback()

	tx = begin(t, w)
	defer tx.Rollback()
	require.True(t, tx.ExpectDuplicates(), "the next try looks first")
}

func TestClassify(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	chat := queriestest.Chat(t, db, 1, 2)
	ctx := within(t)
	cases := map[string]struct {
		statement string
		want      queries.Fault
	}{
		"a value that the type refuses is the data's fault":   {"SELECT 'x'::int", queries.FaultData},
		"a null where none may be is the data's fault":        {"INSERT INTO users (id, details) VALUES (1, NULL)", queries.FaultData},
		"a check that fails is the data's fault":              {"INSERT INTO users (id, details) VALUES (-1, '{}')", queries.FaultData},
		"a statement that takes too long is an outage":        {"SET LOCAL statement_timeout = 1; SELECT pg_sleep(5)", queries.FaultOutage},
		"a missing table is our deployment's fault":           {"SELECT 1 FROM nowhere", queries.FaultOutage},
		"a unique key that no one expected is the schema's":   {fmt.Sprintf("INSERT INTO chats (id, member_ids) VALUES (%d, '{8,9}')", chat), queries.FaultOutage},
		"a terminated session is an outage":                   {"SELECT pg_terminate_backend(pg_backend_pid())", queries.FaultOutage},
		"a read-only database is an outage, not a bad insert": {"SET TRANSACTION READ ONLY; INSERT INTO users (id, details) VALUES (1, '{}')", queries.FaultOutage},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx, err := db.BeginTxx(ctx, nil)
			require.NoError(t, err)
			defer func() { _ = tx.Rollback() }()
			_, err = tx.ExecContext(ctx, c.statement)
			require.Error(t, err)
			require.Equal(t, c.want, queries.Classify(err), "%v", err)
		})
	}
}

func TestTheWriterSurvivesTheLossOfItsSession(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	w := newWriter(t, db)
	ctx := within(t)
	tx := begin(t, w)
	_, err := tx.ExecContext(ctx, "SELECT pg_terminate_backend(pg_backend_pid())")
	require.Error(t, err)
	tx.Rollback()
	var failed int
	for ; failed < 3; failed++ {
		if tx, err = w.Begin(ctx); err == nil {
			break
		}
	}
	require.NoError(t, err)
	_, err = tx.AdvanceChats(ctx, nil)
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
}

func TestEnsureChatMakesOneChatForOneSetOfUsers(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	ctx := within(t)
	ids := make([]int64, 50)
	var g errgroup.Group
	for i := range ids {
		g.Go(func() error {
			members := []int64{7, 3}
			if i%2 == 0 {
				members = []int64{3, 7}
			}
			var err error
			ids[i], err = db.EnsureChat(ctx, members)
			return err
		})
	}
	require.NoError(t, g.Wait())
	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
	var members []int64
	require.NoError(t, db.SelectContext(ctx, &members, "SELECT user_id FROM members WHERE chat_id = $1 ORDER BY 1", ids[0]))
	require.Equal(t, []int64{3, 7}, members)
}
