package middleware

import "github.com/ThreeDotsLabs/watermill/message"

// place is a message in a batch, and where its verdict goes.
type place struct {
	msg   *message.Message
	err   *error
	entry *entry
}

// decide gives the message its verdict, and the group that it came in its own
// once it is the last.
func (p place) decide(err error) {
	*p.err = err
	if p.entry.open--; p.entry.open == 0 {
		p.entry.settle()
	}
}
