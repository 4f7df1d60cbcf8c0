package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The fault_*_test.go files do to the service what machines and networks do, one
// file for each part that can fail, and hold it to the same audit every time: what
// was sent is stored, once, in order, without gaps; each stored message has its
// event, each event its message; nothing was rejected or poisoned for the fault;
// no queue and no outbox holds anything. docs/faults.md lists them with the times
// that recovery takes.
//
// They run on servers of their own where a fault hits a whole server, and on the
// shared ones, through a line that can be disturbed, where it does not.
// Left out, because this machine has no means for them:
//
//   - A disk that is full under Postgres (53100): it needs a file system of its
//     own to fill, and so the right to mount one. The server refuses writes with
//     an error of the same class as too many connections (53300), which is tested.
//   - A partition inside a cluster of brokers: one node answers here. What the
//     service sees of it is a connection that is lost or silent, which is tested.

// recoveryBound is how long the service may take to work again after the part
// that failed is back. What is promised is a third of it; a machine that is busy
// with other tests gets the rest.
const recoveryBound = 30 * time.Second

// scene is a service with lines to its servers, and load on it that goes on for
// as long as the test.
type scene struct {
	*corner

	broker, database *connectionLine
	o                *oracle
	r                *recorder
	n                int // messages in all
	sent             chan error
}

// newScene prepares n messages and the lines; nothing runs yet.
func newScene(c *corner, n int) *scene {
	c.t.Helper()
	s := &scene{
		corner: c, n: n, sent: make(chan error, 1),
		broker: newLine(c.t, c.broker), database: newLine(c.t, c.database),
		o: newOracle(c, newRandom(c.t), n), r: c.record("classic"),
	}
	return s
}

// lines are the settings of a service that is reached by the scene's lines.
func (s *scene) lines() []string {
	return []string{"RABBITMQ_URL=" + s.broker.url, "DATABASE_URL=" + s.database.url, "COMPONENTS=pipeline,relay,http"}
}

// serve runs the service in this process, and waits until it is ready.
func (s *scene) serve(settings ...string) *runningApp {
	s.t.Helper()
	app := s.run(append(s.lines(), settings...)...)
	awaitReady(s.t, app.url)
	return app
}

// begin starts the service in a process of its own; spawn also waits until it is
// ready.
func (s *scene) begin(settings ...string) *process {
	s.t.Helper()
	return start(s.t, slices.Concat(s.environ, s.lines(), settings), "serve")
}

func (s *scene) spawn(settings ...string) *process {
	s.t.Helper()
	p := s.begin(settings...)
	awaitReady(s.t, p.url())
	return p
}

// ahead is how many messages may be under way between the producer and the
// dispatcher.
func (s *scene) ahead() int { return s.n/10 + 1 }

// load sends all along the test, whatever becomes of the service: never more
// than ahead of what has been dispatched, so that there is some left to send
// after the fault.
func (s *scene) load() {
	ctx, cancel := context.WithCancel(s.t.Context())
	s.t.Cleanup(cancel)
	go func() { s.sent <- s.o.send(ctx, s.n, func() int { return s.r.distinct() + s.ahead() }) }()
}

// flowing starts the load and waits until the service is in full flow.
func (s *scene) flowing() {
	s.t.Helper()
	s.load()
	s.r.await(s.n / 5)
}

// stalled waits until the producer has sent all that it may, which without a
// service to dispatch it does not come to an end of.
func (s *scene) stalled() {
	s.t.Helper()
	eventually(s.t, "the producer does not get ahead", func() bool {
		return int(s.o.done.Load()) >= min(s.n, s.r.distinct()+s.ahead())
	})
}

// recovers ends the fault and waits until the service works again: all that had
// waited is dispatched, and so is a message that was sent after the end of the
// fault. It returns how long that took after the end, which itself may take a
// while: a server has to start, or a command to run.
func (s *scene) recovers(from string, end func()) time.Duration {
	s.t.Helper()
	target, asked := min(s.n, s.r.distinct()+s.ahead()+1), time.Now()
	end()
	began := time.Now()
	s.r.await(target)
	took := time.Since(began)
	s.t.Logf("RECOVERY from %s: %s (%s with the ending of the fault)",
		from, took.Round(time.Millisecond), time.Since(asked).Round(time.Millisecond))
	require.Less(s.t, took, recoveryBound)
	return took
}

// audit sends the rest, ends the service, and holds what is in the database, on
// the broker and in the recording against what was sent. It returns how many
// events were dispatched more than once.
func (s *scene) audit(stop func()) int {
	s.t.Helper()
	s.o.awaitSent(s.sent)
	s.r.await(s.n)
	s.o.awaitSettled()
	stop()
	s.o.requireStored(s.t)
	repeats := s.o.requireDispatched(s.t, s.r.all())
	s.o.requireNothingLeft(s.t)
	s.t.Logf("AUDIT: %d in, %d stored, 0 rejected, 0 poisoned, 0 lost, 0 out of order, %d events repeated", s.n, s.n, repeats)
	return repeats
}

// requireBlameless makes sure that no message paid for a fault.
func requireBlameless(t testing.TB, url string) {
	t.Helper()
	for labels, value := range metric(t, url, "chat_messaging_outcomes_total") {
		if strings.Contains(labels, "rejected") || strings.Contains(labels, "poisoned") {
			require.Zero(t, value, labels)
		}
	}
}

// logged tells whether the service has logged the message.
func logged(log *output, message string) bool { return strings.Contains(log.String(), message) }
