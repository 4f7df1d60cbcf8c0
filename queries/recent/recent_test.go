package recent_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"chat-messaging/queries/recent"
)

func TestTheOldGenerationIsForgotten(t *testing.T) {
	t.Parallel()
	m := recent.Map[string, int]{Bound: 2}
	_, _, ok := m.Find("a")
	require.False(t, ok, "nothing is remembered yet")
	find := func(key string) (value int, stale bool) {
		value, stale, ok := m.Find(key)
		require.True(t, ok, "%s is forgotten", key)
		return value, stale
	}
	m.Keep("a", 1)
	m.Keep("b", 2)
	value, stale := find("a")
	require.Equal(t, 1, value)
	require.False(t, stale)

	m.Keep("b", 3)
	_, stale = find("a")
	require.False(t, stale, "a new value is no further key")
	value, _ = find("b")
	require.Equal(t, 3, value)

	m.Keep("c", 4)
	value, stale = find("a")
	require.Equal(t, 1, value)
	require.True(t, stale, "the generation was full")

	m.Keep("a", 5)
	value, stale = find("a")
	require.Equal(t, 5, value, "not the old one's value")
	require.False(t, stale, "it was kept again")

	m.Keep("d", 6)
	_, _, ok = m.Find("b")
	require.False(t, ok, "two generations ago")
	find("a")
	find("c")

	m.Forget()
	require.Zero(t, m.Len())
	_, _, ok = m.Find("d")
	require.False(t, ok)
}

// What was kept within the last Bound of weight is always found, with its last value,
// and no more than twice as much is remembered, but for what exceeds a generation.
func TestOfWhateverIsKeptTheLastIsFound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const heaviest = 5
		m := recent.Map[int, int]{Bound: rapid.IntRange(1, 20).Draw(t, "bound")}
		type kept struct{ key, weight int }
		var all []kept
		values := map[int]int{}
		for value := range rapid.IntRange(1, 100).Draw(t, "steps") {
			k := kept{rapid.IntRange(1, 30).Draw(t, "key"), rapid.IntRange(1, heaviest).Draw(t, "weight")}
			m.KeepWeighing(k.key, value, k.weight)
			all, values[k.key] = append(all, k), value
			weight := 0
			for i := len(all) - 1; i >= 0 && weight+all[i].weight <= m.Bound; i-- {
				weight += all[i].weight
				found, _, ok := m.Find(all[i].key)
				if !ok || found != values[all[i].key] {
					t.Fatalf("key %d: %d, %t; it was kept as %d", all[i].key, found, ok, values[all[i].key])
				}
			}
			if m.Len() > 2*(m.Bound+heaviest) {
				t.Fatalf("%d are remembered with a bound of %d", m.Len(), m.Bound)
			}
		}
	})
}
