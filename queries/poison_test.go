package queries_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

var (
	poisonStart = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	operator    = queries.Operator{Who: "ann", Via: "cli"}
)

// poisoned returns the nth message of a chat, poisoned for the reason.
func poisoned(code, chat string, n int) queries.NewPoisoned {
	return queries.NewPoisoned{
		PoisonID: uuid.New(), Code: code, Stage: "validate", Detail: "for a test", Exchange: "database", Queue: "database.primary",
		FirstSeen: poisonStart.Add(time.Duration(n) * time.Second), LastSeen: poisonStart.Add(time.Duration(n) * time.Second),
		Sequence: int64(n), ChatID: chat, SenderID: int64(n%3 + 1), ClientMessageID: fmt.Sprintf("m-%d", n),
		Properties: json.RawMessage(`{"content_type":"application/json"}`), Headers: json.RawMessage(`{}`),
		Body: fmt.Appendf(nil, `{"chat_id":%q,"body":"Message %d"}`, chat, n),
	}
}

func collect(t testing.TB, db *queries.DB, batch ...queries.NewPoisoned) queries.Collected {
	t.Helper()
	c, err := db.CollectPoisoned(context.Background(), batch)
	require.NoError(t, err)
	return c
}

// list returns the entries of the filter, written as one line, oldest first.
func list(t testing.TB, db *queries.DB, line string) []queries.Poisoned {
	t.Helper()
	f, err := queries.ParsePoisonFilterText(line, time.Now())
	require.NoError(t, err)
	var all []queries.Poisoned
	for before := int64(0); ; {
		page, err := db.ListPoisoned(context.Background(), f, before)
		require.NoError(t, err)
		slices.Reverse(page.Entries)
		all = append(page.Entries, all...)
		if before = page.Next; before == 0 {
			break
		}
	}
	return all
}

// requireTrueCounts compares the counters with the entries.
func requireTrueCounts(t testing.TB, db *queries.DB) {
	t.Helper()
	kept, err := db.PoisonGroups(context.Background(), queries.PoisonFilter{})
	require.NoError(t, err)
	counted, err := db.PoisonGroups(context.Background(), queries.PoisonFilter{Since: time.Unix(0, 0)})
	require.NoError(t, err)
	require.Equal(t, counted, kept)
}

func TestCollectingTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	a, b := poisoned("empty", "1", 1), poisoned("empty", "1", 2)
	require.Equal(t, queries.Collected{New: 2}, collect(t, db, a, b))
	require.Equal(t, queries.Collected{New: 1, Repeated: 2}, collect(t, db, a, b, poisoned("loop", "2", 3)))
	require.Len(t, list(t, db, ""), 3)
	requireTrueCounts(t, db)
}

func TestTextsThatPostgresRefusesAreMended(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	n := poisoned("em\x00pty", "\xff", 1)
	n.Body = []byte("\x00\xff{")
	n.RoutingKey = "\x00"
	collect(t, db, n)
	entries := list(t, db, "")
	require.Len(t, entries, 1)
	require.Equal(t, "em\uFFFDpty", entries[0].Code)
	m, _, err := db.PoisonedMessage(t.Context(), entries[0].ID)
	require.NoError(t, err)
	require.Equal(t, n.Body, m.Body, "the body is kept to the byte")
}

func TestADeliveryThatWasParkedBeforeIsTheSameEntry(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	first := poisoned("empty", "1", 1)
	twin := first
	twin.PoisonID = uuid.New()
	require.Equal(t, queries.Collected{New: 2}, collect(t, db, first, twin), "two messages that are equal stay two")

	again := func(generation int) queries.NewPoisoned {
		n := first
		n.PoisonID, n.Generation = uuid.New(), generation
		return n
	}
	a, b := again(1), again(1)
	require.Equal(t, queries.Collected{Repeated: 2}, collect(t, db, a, b))
	require.Equal(t, queries.Collected{Repeated: 1}, collect(t, db, b), "a copy is merged once")
	require.Equal(t, queries.Collected{New: 1}, collect(t, db, again(1)), "a third one was not there before")
	require.Equal(t, queries.Collected{Repeated: 3}, collect(t, db, again(2), again(2), again(2)))
	other := again(1)
	other.Body = []byte("other")
	require.Equal(t, queries.Collected{New: 1}, collect(t, db, other))

	copies := 0
	for _, e := range list(t, db, "") {
		copies += e.Copies
	}
	require.Equal(t, 9, copies)
}

func TestPagesAndFilters(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	var batch []queries.NewPoisoned
	for n := range 120 {
		batch = append(batch, poisoned([]string{"empty", "loop", "no_sender"}[n%3], fmt.Sprint(n%4), n))
	}
	batch[7].Body = []byte("{\"body\":\"\\u0416\\u0443\\u043a 100%\"}")
	collect(t, db, batch...)

	for line, want := range map[string]int{
		"":                      120,
		"limit:7":               120, // pages of seven
		"reason:empty":          40,
		"reason:empty,loop":     80,
		"reason:empty chat:0":   10,
		"chat:3":                30,
		"sender:2 limit:11":     40,
		"stage:validate":        120,
		"stage:authorize":       0,
		"state:waiting":         120,
		"state:discarded":       0,
		"contains:жук":          1,
		"contains:%":            1,
		`contains:"MESSAGE 11"`: 11, // 11 and 110 to 119
		"since:2026-03-01T10:01:00 until:2026-03-01T10:01:30": 30,
	} {
		require.Len(t, list(t, db, line), want, line)
	}
	all := list(t, db, "limit:50")
	for i := range all {
		require.Equal(t, int64(i), all[i].Sequence, "pages join without a gap")
	}
	some := list(t, db, fmt.Sprintf("id:%d,%s", all[3].ID, all[90].PoisonID))
	require.Len(t, some, 2)
	require.Equal(t, all[3], some[0])

	groups, err := db.PoisonGroups(t.Context(), queries.PoisonFilter{})
	require.NoError(t, err)
	require.Len(t, groups, 3)
	require.Equal(t, "empty", groups[0].Code)
	require.Equal(t, int64(40), groups[0].Entries)
	require.Equal(t, poisonStart, *groups[0].FirstSeen)
	require.Equal(t, poisonStart.Add(117*time.Second), *groups[0].LastSeen)
	requireTrueCounts(t, db)

	reasons, err := db.PoisonReasons(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"empty", "loop", "no_sender"}, reasons)

	_, _, err = db.PoisonedMessage(t.Context(), 1<<40)
	require.ErrorIs(t, err, queries.ErrNotFound)
}

func TestAnEditKeepsTheOriginal(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	n := poisoned("empty", "1", 1)
	collect(t, db, n)
	id := list(t, db, "")[0].ID

	require.NoError(t, db.EditPoisoned(t.Context(), id, []byte("mended"), operator))
	m, _, err := db.PoisonedMessage(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, n.Body, m.Body)
	require.Equal(t, "mended", string(m.EditedBody))
	require.Equal(t, "mended", string(m.Outgoing()))
	require.Equal(t, "ann", m.EditedBy)

	require.NoError(t, db.RevertPoisoned(t.Context(), id, operator))
	m, _, err = db.PoisonedMessage(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, n.Body, m.Outgoing())
	require.Nil(t, m.EditedAt)

	require.ErrorIs(t, db.EditPoisoned(t.Context(), 1<<40, nil, operator), queries.ErrNotFound)
	require.ErrorIs(t, db.EditPoisoned(t.Context(), id, make([]byte, queries.MaxEditedBody+1), operator), queries.ErrTooLong)
	discardAll(t, db)
	require.ErrorIs(t, db.EditPoisoned(t.Context(), id, nil, operator), queries.ErrNotWaiting)

	records, next, err := db.ListAudit(t.Context(), queries.AuditFilter{Action: "poison."})
	require.NoError(t, err)
	require.Zero(t, next)
	var told []string
	for _, r := range records {
		told = append(told, r.Action+" "+string(r.Result))
		assert.Equal(t, "ann", r.Who)
	}
	require.Equal(t, []string{
		"poison.edit refused", "poison.discard done", "poison.discard started", "poison.edit refused", "poison.edit refused",
		"poison.revert done", "poison.edit done",
	}, told)
}

func discardAll(t testing.TB, db *queries.DB) {
	t.Helper()
	job, err := db.CreateJob(context.Background(), queries.NewJob{Kind: queries.JobDiscard, Reason: "a test", By: operator})
	require.NoError(t, err)
	finish(t, db, job)
}

// finish works a discard or a purge off.
func finish(t testing.TB, db *queries.DB, job *queries.Job) {
	t.Helper()
	for {
		n, state, err := db.SettleNext(context.Background(), job, 2)
		require.NoError(t, err)
		require.Equal(t, queries.JobRunning, state)
		if n == 0 {
			break
		}
	}
	require.NoError(t, db.FinishJob(context.Background(), job.ID, ""))
}

func TestImportIsIdempotentAndExact(t *testing.T) {
	t.Parallel()
	from, to := queriestest.New(t), queriestest.New(t)
	bytes := poisoned("loop", "1", 2)
	bytes.Body = []byte("\x00\xff\u2028{")
	collect(t, from, poisoned("empty", "1", 1), bytes, poisoned("loop", "2", 3))
	ids := list(t, from, "")
	require.NoError(t, from.EditPoisoned(t.Context(), ids[0].ID, []byte{}, operator))
	job, err := from.CreateJob(t.Context(), queries.NewJob{
		Kind: queries.JobDiscard, Reason: "spam", By: operator, Filter: queries.PoisonFilter{Chat: "2"},
	})
	require.NoError(t, err)
	finish(t, from, job)

	exported, err := from.ReadPoisoned(t.Context(), queries.PoisonFilter{}, 0, 2)
	require.NoError(t, err)
	require.Len(t, exported, 2)
	rest, err := from.ReadPoisoned(t.Context(), queries.PoisonFilter{}, exported[1].ID, 2)
	require.NoError(t, err)
	exported = append(exported, rest...)
	exported = throughNDJSON(t, exported)
	for want := len(exported); want >= 0; want -= len(exported) {
		n, err := to.ImportPoisoned(t.Context(), exported)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	imported, err := to.ReadPoisoned(t.Context(), queries.PoisonFilter{}, 0, 10)
	require.NoError(t, err)
	for i := range imported {
		imported[i].ID, imported[i].CollectedAt = exported[i].ID, exported[i].CollectedAt
	}
	require.Equal(t, exported, imported)
	requireTrueCounts(t, to)
}

// throughNDJSON writes entries as lines and reads them again.
func throughNDJSON(t testing.TB, list []queries.PoisonedMessage) []queries.PoisonedMessage {
	t.Helper()
	var read []queries.PoisonedMessage
	for _, m := range list {
		line, err := json.Marshal(m)
		require.NoError(t, err)
		require.NotContains(t, string(line), "\n")
		var again queries.PoisonedMessage
		require.NoError(t, json.Unmarshal(line, &again))
		require.Equal(t, m, again)
		read = append(read, again)
	}
	return read
}

func TestALineThatIsNoEntryIsRefused(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		`{}`, `[]`, `{"poison_id":"x"}`, `{"poison_id":"6f2c1c1e-6a5e-4b0e-9d4d-0a2f6b7a1c11","state":"lost"}`,
	} {
		var m queries.PoisonedMessage
		require.Error(t, json.Unmarshal([]byte(line), &m), line)
	}
}
