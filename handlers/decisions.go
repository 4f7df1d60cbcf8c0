package handlers

import "sync"

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
	mu sync.RWMutex
	// Two generations bound it: when the young one is full it becomes the old one,
	// and what was in that is forgotten.
	young, old map[question]answer
}

func newDecisions() *decisions {
	return &decisions{young: map[question]answer{}}
}

func (d *decisions) find(q question) (answer, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	a, ok := d.young[q]
	if !ok {
		a, ok = d.old[q]
	}
	return a, ok
}

func (d *decisions) keep(q question, a answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.young) >= maxDecisions {
		d.young, d.old = map[question]answer{}, d.young
	}
	d.young[q] = a
}
