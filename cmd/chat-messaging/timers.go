package main

import "time"

// timerSlack is how much later than asked for the kernel may wake a thread of the
// service. The Go runtime has one that looks whether the others get on, every 20 µs
// while they do anything, and with the slack that is usual on Linux it is up some
// 14,000 times a second: a tenth of the service's processor time while a queue is
// emptied, and a quarter at a thousand messages a second. What it looks for, a system
// call that takes long and a goroutine that does not let go, is found a millisecond
// later instead. Hardly any wait in this program is as short as that, and none has to
// end on time.
const timerSlack = time.Millisecond

// keepTimers, in the environment, leaves the timers as they are.
const keepTimers = "CHAT_MESSAGING_KEEP_TIMERS"

// serves tells whether the arguments run the service, and not one of the other verbs,
// most of which are over in a moment.
func serves(args []string) bool {
	root, _ := newRoot(nil)
	cmd, _, err := root.Find(args)
	return err == nil && cmd.Name() == verbServe
}
