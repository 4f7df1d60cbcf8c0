package crash

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func chats(n int) []Chat {
	var all []Chat
	for i := range int64(n) {
		all = append(all, Chat{ID: 1000 + i, Members: [2]int64{2*i + 1, 2*i + 2}})
	}
	return all
}

func TestAScriptIsMadeByItsSeed(t *testing.T) {
	t.Parallel()
	draw := func(seed uint64, sizes ...int) []*Entry {
		s := NewScript(seed, chats(5))
		for _, n := range sizes {
			s.Draw(n)
		}
		return s.Entries(0, s.Len())
	}
	require.Equal(t, draw(7, 1000), draw(7, 300, 700), "however it is drawn")
	require.NotEqual(t, draw(7, 1000), draw(8, 1000))
}

func TestAScriptKnowsWhatItsMessagesLeadTo(t *testing.T) {
	t.Parallel()
	s := NewScript(1, chats(5))
	const n = 3000
	s.Draw(n)
	entries := s.Entries(0, n)
	kinds, events, seqs := map[Kind]int{}, 0, map[int]int{}
	for i, e := range entries {
		kinds[e.Kind]++
		switch e.Kind {
		case Good:
			seqs[e.Chat]++
			require.Equal(t, seqs[e.Chat], e.Seq, "the places in a chat have no gaps")
		case Repeat, Conflict:
			of := entries[e.Of]
			require.LessOrEqual(t, e.Of, i-backReach, "it must not overtake what it refers to")
			require.Equal(t, Good, of.Kind)
			require.Equal(t, of.ID, e.ID)
			require.Equal(t, of.Sender, e.Sender)
			require.Equal(t, e.Kind == Repeat, string(of.Payload) == string(e.Payload))
		default:
		}
		require.Equal(t, e.Kind != Broken, json.Valid(e.Payload))
		if e.Kind.announced() {
			events++
		}
		require.Equal(t, events, s.Events(i+1))
	}
	require.Zero(t, s.Events(0))
	for kind := Good; kind <= Nameless; kind++ {
		require.Greater(t, kinds[kind], 20, "kind %d", kind)
	}
}
