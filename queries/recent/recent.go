// Package recent remembers what was met lately and forgets the rest, within a bound.
//
// It keeps two generations: what is kept goes into the young one, and when that is full
// it becomes the old one, and what was in that is forgotten. Compared with a list in the
// order of use, finding changes nothing, so that many may do so at a time, and a key
// costs no more than its place in a map. In exchange what was used lately may be
// forgotten too, unless whoever finds it in the old generation keeps it again.
package recent

// Map remembers a value for each key. The zero value with a Bound is ready to use. Any
// number of goroutines may Find at a time, while none changes it.
type Map[K comparable, V any] struct {
	// Bound is how much a generation may weigh. Required. The last value that fits in
	// may exceed it.
	Bound int

	young, old map[K]V
	weight     int // of the young one
}

// Find returns what is remembered for the key. stale says that it will be forgotten
// next, unless it is kept again.
func (m *Map[K, V]) Find(key K) (value V, stale, ok bool) {
	if value, ok = m.young[key]; ok {
		return value, false, true
	}
	value, ok = m.old[key]
	return value, ok, ok
}

// Keep remembers the value, which weighs 1.
func (m *Map[K, V]) Keep(key K, value V) { m.KeepWeighing(key, value, 1) }

// KeepWeighing remembers the value. The weight is that of the key's first value in its
// generation.
func (m *Map[K, V]) KeepWeighing(key K, value V, weight int) {
	if _, again := m.young[key]; again {
		m.young[key] = value
		return
	}
	if m.young == nil || m.weight >= m.Bound {
		m.young, m.old, m.weight = map[K]V{}, m.young, 0
	}
	m.young[key] = value
	m.weight += weight
}

// Forget forgets all.
func (m *Map[K, V]) Forget() { m.young, m.old, m.weight = nil, nil, 0 }

// Len returns how many values are remembered. One in both generations counts twice.
func (m *Map[K, V]) Len() int { return len(m.young) + len(m.old) }
