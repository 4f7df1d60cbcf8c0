package queries

import "chat-messaging/queries/recent"

// maxMembers bounds a generation of remembered chats: by their members and one for
// each, because a chat may have many. A generation of chats of two takes some two
// megabytes.
const maxMembers = 1 << 16

// members remembers who is in the chats that were met lately, so that a batch
// need not read what never changes: a chat is the set of its members. A chat that
// is not there is not remembered, for it may come to be. It serves one goroutine.
type members struct {
	chats recent.Map[int64, []int64]
}

func newMembers() members {
	return members{recent.Map[int64, []int64]{Bound: maxMembers}}
}

// of returns the members of a chat, nil if they are not known.
func (m *members) of(chat int64) []int64 {
	list, stale, _ := m.chats.Find(chat)
	if stale {
		m.keep(chat, list)
	}
	return list
}

func (m *members) keep(chat int64, list []int64) {
	m.chats.KeepWeighing(chat, list, 1+len(list))
}

// forget forgets all of them.
func (m *members) forget() { m.chats.Forget() }
