package handlers

import (
	"sync"

	"chat-messaging/queries/recent"
)

// maxDecisions bounds a generation of decisions, which takes about a megabyte.
const maxDecisions = 32768

// question is all that a decision depends on: the policies are told no more.
type question struct {
	user, other             int64
	userInChat, otherInChat bool
	action                  uint8 // place in knownActions
}

// answer is a decision; policy is the place of the one that decided, or -1.
type answer struct {
	policy int32
	permit bool
}

// decisions remembers what was decided: the two of a chat ask the same over and
// over, and evaluating the policies costs more than reading the message did. It is
// safe for concurrent use.
type decisions struct {
	mu      sync.RWMutex
	answers recent.Map[question, answer]
}

func newDecisions() *decisions {
	return &decisions{answers: recent.Map[question, answer]{Bound: maxDecisions}}
}

func (d *decisions) find(q question) (answer, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	a, _, ok := d.answers.Find(q)
	return a, ok
}

func (d *decisions) keep(q question, a answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers.Keep(q, a)
}
