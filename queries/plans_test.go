package queries_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/queries/queriestest"
)

// node is a node of a plan, as EXPLAIN (FORMAT JSON) shows it.
type node struct {
	Type     string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Index    string `json:"Index Name"`
	Hit      int    `json:"Shared Hit Blocks"`
	Read     int    `json:"Shared Read Blocks"`
	Plans    []node `json:"Plans"`
}

func (n node) walk(visit func(node)) {
	visit(n)
	for _, child := range n.Plans {
		child.walk(visit)
	}
}

// TestPagesCostTheSameAtAnyDepth keeps the plan that a prepared statement gets on
// empty tables, which is the worst there is, and reads with it from a full one.
func TestPagesCostTheSameAtAnyDepth(t *testing.T) {
	t.Parallel()
	const messages = 100_000
	db := queriestest.New(t)
	db.SetMaxOpenConns(1) // the prepared statements are the connection's
	chat := queriestest.Chat(t, db, 1, 2)
	for other := int64(3); other < 300; other++ {
		queriestest.Chat(t, db, 1, other)
	}
	_, err := db.Exec(`SET plan_cache_mode = force_generic_plan`)
	require.NoError(t, err)
	for name, text := range statementConstants(t) {
		switch name {
		case "pagesStatement", "messageStatement", "userChatStatement",
			"listChatsStatement", "listChatsLastMessageStatement":
			_, err := db.Exec(`PREPARE "` + name + `" AS ` + text)
			require.NoError(t, err, name)
		}
	}
	explain := func(name, arguments string) (blocks int) {
		var text []byte
		require.NoError(t, db.Get(&text, `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE "`+name+`" (`+arguments+`)`))
		var explained []struct{ Plan node }
		require.NoError(t, json.Unmarshal(text, &explained))
		plan := explained[0].Plan
		plan.walk(func(n node) {
			if n.Relation == "messages" {
				require.Contains(t, n.Type, "Index", "%s: %s", name, text)
				require.Equal(t, "messages_pkey", n.Index, name)
			}
			require.NotEqual(t, "Hash Join", n.Type, name)
			require.NotEqual(t, "Merge Join", n.Type, name)
		})
		return plan.Hit + plan.Read
	}
	explain("pagesStatement", fmt.Sprintf("'{%d}', '{0}', '{10}', '{10}'", chat))
	fill(t, db, chat, messages)

	for name, c := range map[string]struct{ statement, shallow, deep string }{
		"older":   {"pagesStatement", "'{%d}', '{0}', '{100000}', '{10}'", "'{%d}', '{0}', '{11}', '{10}'"},
		"newer":   {"pagesStatement", "'{%d}', '{1}', '{0}', '{10}'", "'{%d}', '{1}', '{99980}', '{10}'"},
		"around":  {"pagesStatement", "'{%d}', '{2}', '{10}', '{10}'", "'{%d}', '{2}', '{50000}', '{10}'"},
		"message": {"messageStatement", "%d, 1", "%d, 50000"},
	} {
		shallow, deep := explain(c.statement, fmt.Sprintf(c.shallow, chat)), explain(c.statement, fmt.Sprintf(c.deep, chat))
		require.InDelta(t, shallow, deep, 10, "%s: blocks touched near and far", name)
		require.Less(t, deep, 30, name)
	}
	many := strings.Repeat(fmt.Sprint(chat, ","), 63) + fmt.Sprint(chat)
	require.Less(t, explain("pagesStatement", fmt.Sprintf("'{%s}', array_fill(0, '{64}'), array_fill(50000, '{64}'), array_fill(10, '{64}')", many)),
		64*30, "a batch of pages costs what they cost one by one")
	require.Less(t, explain("userChatStatement", fmt.Sprint(chat)), 40)
	require.Less(t, explain("listChatsLastMessageStatement", "1, 0, 100"), 2500, "a few blocks a chat, however many messages")
	require.Less(t, explain("listChatsStatement", "1, 0, 100"), 2500)
}
