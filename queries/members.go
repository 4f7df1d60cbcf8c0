package queries

// maxMembers bounds a generation of remembered chats: by their members and one for
// each, because a chat may have many. A generation of chats of two takes some two
// megabytes.
const maxMembers = 1 << 16

// members remembers who is in the chats that were met lately, so that a batch
// need not read what never changes: a chat is the set of its members. A chat that
// is not there is not remembered, for it may come to be. It serves one goroutine.
type members struct {
	// Two generations bound it: when the young one is full it becomes the old one,
	// and what was in that is forgotten.
	young, old map[int64][]int64
	weight     int // of the young one
}

// of returns the members of a chat, nil if they are not known.
func (m *members) of(chat int64) []int64 {
	if list, ok := m.young[chat]; ok {
		return list
	}
	list, ok := m.old[chat]
	if ok {
		m.keep(chat, list)
	}
	return list
}

func (m *members) keep(chat int64, list []int64) {
	if _, again := m.young[chat]; again {
		return
	}
	if m.young == nil || m.weight >= maxMembers {
		m.young, m.old, m.weight = map[int64][]int64{}, m.young, 0
	}
	m.young[chat] = list
	m.weight += 1 + len(list)
}

// forget forgets all of them.
func (m *members) forget() { *m = members{} }
