package pipeline

import (
	"context"
	"fmt"
	"sync"
)

// errPaused: the gate is shut. What is in hand is finished.
var errPaused = fmt.Errorf("consumption is paused: %w", context.Canceled)

// Gate lets subscriptions consume or holds them back. It is safe for concurrent
// use.
type Gate struct {
	mu           sync.Mutex
	opened, shut chan struct{} // each closed while the gate is so
}

// NewGate returns a gate that is open.
func NewGate() *Gate {
	g := &Gate{opened: make(chan struct{}), shut: make(chan struct{})}
	close(g.opened)
	return g
}

// Set opens or shuts the gate.
func (g *Gate) Set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, was := &g.opened, &g.shut
	if !open {
		now, was = was, now
	}
	select {
	case <-*now:
	default:
		close(*now)
		*was = make(chan struct{})
	}
}

// states returns what is closed while the gate is open, and while it is shut.
func (g *Gate) states() (opened, shut <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.opened, g.shut
}

// pass waits until the gate is open. It returns a context that ends with begin,
// and with errPaused when the gate shuts.
//
// To the window a shut gate is the same as the end of the subscriber: nothing new
// is handed out, what is in hand is settled and acknowledged, and then the channel
// is closed with the consumer on it. The consumer is not cancelled any sooner: the
// broker would let another instance have the queue that does not know yet of the
// pause, and whose messages would overtake those in hand.
func (g *Gate) pass(begin context.Context, waiting func()) (context.Context, context.CancelCauseFunc) {
	round, cancel := context.WithCancelCause(begin)
	for begin.Err() == nil {
		opened, shut := g.states()
		select {
		case <-opened:
			go func() {
				select {
				case <-shut:
					cancel(errPaused)
				case <-round.Done():
				}
			}()
			return round, cancel
		default:
		}
		waiting()
		select {
		case <-opened:
		case <-begin.Done():
		}
	}
	return round, cancel
}
