package queries_test

import (
	"context"
	"database/sql"
	"io"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// countedLine is a pool whose connections pass a proxy that counts what is asked: the
// driver waits for an answer behind each write, and a short one arrives in one piece.
func countedLine(t *testing.T, databaseURL string) (*queries.DB, *atomic.Int64) {
	t.Helper()
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	server := u.Host
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	questions := new(atomic.Int64)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			backend, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				return
			}
			go pass(backend, client, questions)
			go pass(client, backend, new(atomic.Int64))
		}
	}()
	u.Host = listener.Addr().String()
	counted, err := queries.Open(queries.Config{URL: u.String()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = counted.Close() })
	return counted, questions
}

func pass(to io.WriteCloser, from io.Reader, pieces *atomic.Int64) {
	defer func() { _ = to.Close() }()
	buf := make([]byte, 1<<20)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		pieces.Add(1)
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// putLast puts events into the outbox as watermill-sql does, at the end of a
// transaction.
func putLast(ctx context.Context, tx *queries.Tx, insert *queries.InsertOutbox, events ...queries.OutboxEvent) error {
	query, args, err := insert.Build(events)
	if err != nil {
		return err
	}
	tx.Last()
	_, err = tx.ExecContext(ctx, query, args...)
	return err
}

func event(payload string) queries.OutboxEvent {
	return queries.OutboxEvent{ID: uuid.New(), ChatID: 1, UserID: 2, Name: "a", Payload: []byte(payload)}
}

func stored(t *testing.T, db *queries.DB) (messages int) {
	t.Helper()
	require.NoError(t, db.GetContext(within(t), &messages, "SELECT count(*) FROM messages"))
	return messages
}

// backend is the process that serves the transaction's session.
func backend(t *testing.T, tx *queries.Tx) (pid int) {
	t.Helper()
	require.NoError(t, tx.QueryRow("SELECT pg_backend_pid()").Scan(&pid))
	return pid
}

// encrypted tells whether the connections are, as the server of the tests may want.
func encrypted(t *testing.T, db *queries.DB) (is bool) {
	t.Helper()
	require.NoError(t, db.GetContext(within(t), &is, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
	return is
}

func TestABatchIsTwoRoundTrips(t *testing.T) {
	t.Parallel()
	databaseURL := queriestest.SchemaURL(t)
	db := queriestest.Open(t, databaseURL, true)
	chat := queriestest.Chat(t, db, 1, 2)
	line, questions := countedLine(t, databaseURL)
	w := newWriter(t, line)
	ctx := within(t)
	var insert queries.InsertOutbox
	batch := func(seq int64) []queries.OutboxRow {
		tx := begin(t, w)
		defer tx.Rollback()
		c := &queries.Chat{ID: chat, Taken: 1}
		_, err := tx.AdvanceChats(ctx, []*queries.Chat{c})
		require.NoError(t, err)
		require.Equal(t, seq-1, c.LastSeq)
		require.NoError(t, tx.InsertMessages(ctx, []*queries.Message{message(chat, seq, uuid.NewString(), "x")}))
		require.NoError(t, putLast(ctx, tx, &insert, event("{\n}"), event("{}")))
		require.NoError(t, tx.Commit())
		return insert.Inserted(tx)
	}
	batch(1) // prepares the statements
	before := questions.Load()
	rows := batch(2)
	asked := questions.Load() - before
	if encrypted(t, line) {
		require.EqualValues(t, 4, asked, "BEGIN and COMMIT by themselves")
	} else {
		require.EqualValues(t, 2, asked)
	}
	require.Equal(t, 2, stored(t, db))

	outbox, err := db.LockOutbox(ctx)
	require.NoError(t, err)
	defer outbox.Close()
	read, err := outbox.Read(ctx, 1, 10)
	require.NoError(t, err)
	require.Equal(t, read, rows, "what the transaction tells of its rows is what is read")
}

func TestATransactionWithoutStatementsSaysNothing(t *testing.T) {
	t.Parallel()
	databaseURL := queriestest.SchemaURL(t)
	queriestest.Open(t, databaseURL, true)
	line, questions := countedLine(t, databaseURL)
	w := newWriter(t, line)
	begin(t, w).Rollback()
	wordy := encrypted(t, line)
	before := questions.Load()
	begin(t, w).Rollback()
	require.NoError(t, begin(t, w).Commit())
	if !wordy {
		require.Equal(t, before, questions.Load())
	}
	tx := begin(t, w)
	defer tx.Rollback()
	_, err := tx.AdvanceChats(within(t), nil)
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
}

func TestMessagesGoBeforeWhatComesBehindThem(t *testing.T) {
	t.Parallel()
	db, w, chat := newStore(t)
	ctx := within(t)
	tx := begin(t, w)
	defer tx.Rollback()
	require.NoError(t, tx.InsertMessages(ctx, []*queries.Message{message(chat, 1, "a", "x")}))
	require.NoError(t, tx.InsertMessages(ctx, []*queries.Message{message(chat, 2, "b", "x")}))
	var n int
	require.NoError(t, tx.QueryRow("SELECT count(*) FROM messages WHERE chat_id = $1", chat).Scan(&n))
	require.Equal(t, 2, n)
	require.NoError(t, tx.InsertMessages(ctx, []*queries.Message{message(chat, 3, "c", "x")}))
	require.NoError(t, tx.Commit())
	require.Equal(t, 3, stored(t, db))

	tx = begin(t, w)
	require.NoError(t, tx.InsertMessages(ctx, []*queries.Message{message(chat, 4, "d", "x")}))
	tx.Rollback()
	tx = begin(t, w)
	require.NoError(t, tx.Commit())
	require.Equal(t, 3, stored(t, db), "messages of a transaction that was rolled back were kept for the next")
}

// The COMMIT that went along with it is a rollback then.
func TestALastStatementThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"with few messages":                   "x",
		"with more than go with their events": strings.Repeat("x", 100<<10),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failAtLast(t, body)
		})
	}
}

func failAtLast(t *testing.T, body string) {
	t.Helper()
	db, w, chat := newStore(t)
	ctx := within(t)
	var insert queries.InsertOutbox
	tx := begin(t, w)
	pid := backend(t, tx)
	require.NoError(t, tx.InsertMessages(ctx, []*queries.Message{message(chat, 1, "a", body)}))
	require.NoError(t, putLast(ctx, tx, &insert, event("{}")))
	require.NoError(t, tx.Commit())

	tx = begin(t, w)
	c := &queries.Chat{ID: chat, Taken: 2}
	_, err := tx.AdvanceChats(ctx, []*queries.Chat{c})
	require.NoError(t, err)
	err = tx.InsertMessages(ctx, []*queries.Message{message(chat, 2, "b", body), message(chat, 3, "a", body)})
	if err == nil {
		err = putLast(ctx, tx, &insert, event("{}"))
	}
	require.Equal(t, queries.FaultConflict, queries.Classify(err), "%v", err)
	require.Error(t, tx.QueryRow("SELECT 1").Scan(new(int)), "a statement outside of its transaction")
	tx.Rollback()
	require.Equal(t, 1, stored(t, db))
	require.Equal(t, 1, waiting(t, db))

	tx = begin(t, w)
	defer tx.Rollback()
	require.True(t, tx.ExpectDuplicates())
	require.Equal(t, pid, backend(t, tx), "the session is as good as before")
	c = &queries.Chat{ID: chat, Taken: 1}
	_, err = tx.AdvanceChats(ctx, []*queries.Chat{c})
	require.NoError(t, err)
	require.Zero(t, c.LastSeq, "positions were taken for nothing")
}

// Not reached as long as nothing stands between the two.
func TestARollbackBehindTheLastStatementComesTooLate(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	if encrypted(t, db) {
		return // COMMIT does not go along
	}
	w := newWriter(t, db)
	ctx := within(t)
	var insert queries.InsertOutbox
	tx := begin(t, w)
	require.NoError(t, putLast(ctx, tx, &insert, event("{}")))
	require.ErrorIs(t, tx.QueryRow("SELECT 1").Scan(new(int)), sql.ErrTxDone, "a statement outside of its transaction")
	tx.Rollback()
	require.Equal(t, 1, waiting(t, db))
	tx = begin(t, w)
	defer tx.Rollback()
	require.NoError(t, putLast(ctx, tx, &insert, event("{}")), "the session was not given up")
	require.NoError(t, tx.Commit())
	require.Equal(t, 2, waiting(t, db))
}

// The driver has been told that the transaction had begun.
func TestASessionThatEndsBeforeTheFirstStatementIsAnOutage(t *testing.T) {
	t.Parallel()
	db, w, chat := newStore(t)
	ctx := within(t)
	tx := begin(t, w)
	pid := backend(t, tx)
	require.NoError(t, tx.Commit())

	tx = begin(t, w)
	var gone bool
	require.NoError(t, db.GetContext(ctx, &gone, "SELECT pg_terminate_backend($1, 30000)", pid))
	require.True(t, gone)
	_, err := tx.AdvanceChats(ctx, []*queries.Chat{{ID: chat, Taken: 1}})
	require.Error(t, err)
	require.Equal(t, queries.FaultOutage, queries.Classify(err))
	tx.Rollback()

	require.Eventually(t, func() bool {
		tx, err := w.Begin(ctx)
		if err != nil {
			return false
		}
		defer tx.Rollback()
		c := &queries.Chat{ID: chat, Taken: 1}
		_, err = tx.AdvanceChats(ctx, []*queries.Chat{c})
		require.Zero(t, c.LastSeq)
		return err == nil
	}, time.Minute, time.Millisecond)
}
