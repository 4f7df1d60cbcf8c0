package queries_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// fillPoisoned stores n waiting entries of four reasons and 300 chats.
func fillPoisoned(t testing.TB, db *queries.DB, n int) {
	t.Helper()
	const chunk = 10_000 // no statement takes long, also on a busy machine
	for first := 1; first <= n; first += chunk {
		_, err := db.Exec(`
INSERT INTO poisoned (poison_id, state, code, stage, detail, exchange, routing_key, queue, first_seen, sequence, last_seen,
                      generation, fingerprint, attempts, returned, chat_id, sender_id, client_message_id, properties, headers, body, body_search)
SELECT gen_random_uuid(), 'waiting', (ARRAY['empty', 'loop', 'no_sender', 'data_error'])[1 + n % 4], 'validate', 'for a test',
       'database', '', 'database.primary', '2026-01-01'::timestamptz + n * interval '1 second', n, '2026-01-01'::timestamptz + n * interval '1 second',
       0, int8send(n), 0, 0, (n % 300)::text, n % 1000, 'm-' || n, '{}', '{}', convert_to('message ' || n, 'UTF8'), 'message ' || n
FROM generate_series($1::int8, $2::int8) AS n`, first, min(first+chunk-1, n))
		require.NoError(t, err)
	}
	_, err := db.Exec(`ANALYZE poisoned`)
	require.NoError(t, err)
}

// The first page and the groups cost the same however much there is. The first
// benchmark fills a million entries, which takes a minute or so.
func BenchmarkPoisoned(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		db := queriestest.New(b)
		fillPoisoned(b, db, n)
		for name, filter := range map[string]queries.PoisonFilter{
			"first page":           {States: []queries.PoisonState{queries.PoisonWaiting}},
			"first page, any":      {},
			"first page, a reason": {Reasons: []string{"loop"}},
			"first page, a chat":   {Chat: "7"},
		} {
			b.Run(fmt.Sprintf("%s of %d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					page, err := db.ListPoisoned(b.Context(), filter, 0)
					require.NoError(b, err)
					require.NotEmpty(b, page.Entries)
				}
			})
		}
		b.Run(fmt.Sprintf("groups of %d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				groups, err := db.PoisonGroups(b.Context(), queries.PoisonFilter{})
				require.NoError(b, err)
				require.Len(b, groups, 4)
			}
		})
	}
}

// TestListingCostsTheSameHoweverMuchThereIs counts blocks, not time.
func TestListingCostsTheSameHoweverMuchThereIs(t *testing.T) {
	t.Parallel()
	few, many := queriestest.New(t), queriestest.New(t)
	fillPoisoned(t, few, 1_000)
	fillPoisoned(t, many, 30_000)
	statements := statementConstants(t)
	for name, arguments := range map[string]string{
		"listPoisonedStatement":         `NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{waiting,replaying}', 9223372036854775807, 51`,
		"listPoisonedByReasonStatement": `'{loop}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{waiting}', 9223372036854775807, 51`,
		"poisonGroupsStatement":         `'{waiting}', NULL, NULL`,
	} {
		blocks := func(db *queries.DB) int {
			// Among few entries any plan will do.
			conn, err := db.Connx(t.Context())
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			// A statement of its own plan, as one that is not prepared has.
			_, err = conn.ExecContext(t.Context(), `SET plan_cache_mode = force_custom_plan`)
			require.NoError(t, err)
			_, err = conn.ExecContext(t.Context(), `PREPARE "`+name+`" AS `+statements[name])
			require.NoError(t, err)
			var text string
			require.NoError(t, conn.GetContext(t.Context(), &text, `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE "`+name+`" (`+arguments+`)`))
			var explained []struct{ Plan node }
			require.NoError(t, json.Unmarshal([]byte(text), &explained))
			plan := explained[0].Plan
			plan.walk(func(n node) {
				if n.Relation == "poisoned" && db == many {
					require.Contains(t, n.Type, "Index", "%s: %s", name, text)
				}
			})
			return plan.Hit + plan.Read
		}
		require.LessOrEqual(t, blocks(many), blocks(few)+40, "%s: blocks touched", name)
	}
}
