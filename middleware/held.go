package middleware

import "time"

// held are the messages that wait for chats that somebody else has locked, and
// what is known of those chats. One locked chat must not hold up all the others:
//
//	waiting for locks ── a lock takes too long ──▶ passing locked chats
//	        ▲                                       │ their messages are held, and
//	        │                                       │ come first in the next batch
//	        └──────── nothing is held any more ◀────┘
//
// A held message keeps its place before those of its chat that come later, and so
// does not lose the order: within one pass over the messages a chat that was
// locked once is passed to the end. It serves the outbox's goroutine.
type held struct {
	places []place
	busy   map[int64]struct{} // chats found locked in this pass; nil: locks are waited for
}

// heldInterval is how often the locks are tried when nothing else arrives.
const heldInterval = 100 * time.Millisecond

// again fires when held messages should be tried; never if there are none.
func (h *held) again() <-chan time.Time {
	if len(h.places) == 0 {
		return nil
	}
	return time.After(heldInterval)
}

// take begins a pass: it appends the messages that were held to run.
func (h *held) take(run []place) []place {
	run = append(run, h.places...)
	clear(h.places)
	h.places = h.places[:0]
	if len(run) == 0 {
		h.busy = nil
	} else {
		clear(h.busy)
	}
	return run
}

func (h *held) add(p place) { h.places = append(h.places, p) }

// passLocked ends the waiting for locks.
func (h *held) passLocked() { h.busy = map[int64]struct{}{} }
