package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The broker takes events and its confirms are lost on the way. The events go out
// a second time, under the same ids and in order.
func TestFaultAConfirmIsLost(t *testing.T) {
	t.Parallel()
	s := newScene(newCorner(t), 1000)
	// Only the relay is behind the line, so that there is always something to
	// publish when the confirms stop.
	pipeline := s.run("COMPONENTS=pipeline")
	relay := s.run("COMPONENTS=relay", "RABBITMQ_URL="+s.broker.url)
	awaitReady(t, pipeline.url)
	awaitReady(t, relay.url)
	s.flowing()

	s.broker.swallow("downstream")
	// A confirm may have come just before: it takes a window that was published
	// behind that for the relay to get no further.
	var before int
	var since time.Time
	eventually(t, "no event is out without its confirm", func() bool {
		seen, left := s.r.distinct(), s.waiting()
		deleted := s.count("messages") - left
		if seen <= deleted || deleted != before {
			before, since = deleted, time.Now()
			return false
		}
		return time.Since(since) > time.Second
	})
	s.broker.cut()
	s.broker.heal()
	s.recovers("a confirm that is lost", s.broker.restore)
	repeats := s.audit(func() { pipeline.drain(); relay.drain() })
	require.Positive(t, repeats, "what was not confirmed goes out again")
	require.LessOrEqual(t, repeats, 1000, "no more than a window")
}

// The broker falls silent: its connections stay open and carry nothing. Heartbeats
// find out, and the service says so and connects again.
func TestFaultTheBrokerIsSilent(t *testing.T) {
	t.Parallel()
	s := newScene(newCorner(t), 1000)
	app := s.serve()
	s.flowing()

	began := time.Now()
	s.broker.swallow()
	awaitNotReady(t, app.url, "broker", "")
	took := time.Since(began)
	require.Less(t, took, recoveryBound)
	t.Logf("found out after %s", took.Round(time.Millisecond))
	s.recovers("a silent broker", s.broker.heal)
	requireBlameless(t, app.url)
	s.audit(app.drain)
}

// The database falls silent, as a frozen server or a proxy in front of a dead one
// does: its kernel acknowledges everything, and no answer comes. The service must
// not wait for ever: it gives its window back, so that another instance with a
// better connection could have it.
func TestFaultTheDatabaseIsSilent(t *testing.T) {
	t.Parallel()
	s := newScene(newCorner(t), 1000)
	app := s.serve()
	s.flowing()

	began := time.Now()
	s.database.swallow()
	awaitNotReady(t, app.url, "database", "")
	eventually(t, "it holds messages that it cannot store", func() bool {
		waiting, consumers := s.inspect(s.config().DatabaseQueueName)
		return consumers == 0 && waiting > 0
	})
	t.Logf("the window was given back after %s", time.Since(began).Round(time.Millisecond))
	s.recovers("a silent database", s.database.heal)
	requireBlameless(t, app.url)
	s.audit(app.drain)
}

// A network on which every answer takes its time makes the service slow and
// nothing else: nothing is given up, sent again, rejected or refused.
func TestFaultTheNetworkIsSlow(t *testing.T) {
	t.Parallel()
	s := newScene(newCorner(t), 300)
	app := s.serve()
	s.flowing()
	s.broker.slow(50*time.Millisecond, 40*time.Millisecond)
	s.database.slow(50*time.Millisecond, 40*time.Millisecond)
	s.o.awaitSent(s.sent)
	s.sent <- nil
	s.r.await(s.n)
	awaitReady(t, app.url)
	requireBlameless(t, app.url)
	require.Zero(t, s.audit(app.drain), "it was slow, not away")
}

// SIGTERM while nothing answers any more: the process ends in time all the same,
// and what it had in hand is not lost.
func TestFaultSIGTERMWhenNothingAnswers(t *testing.T) {
	t.Parallel()
	s := newScene(newCorner(t), 1000)
	service := s.spawn()
	s.flowing()
	s.broker.swallow()
	s.database.swallow()
	began := time.Now()
	service.stopWithin(15 * time.Second)
	t.Logf("ended after %s with %d", time.Since(began).Round(time.Millisecond), service.exitCode())

	s.broker.heal()
	s.database.heal()
	var next *process
	s.recovers("everything silent, with a restart", func() { next = s.begin() })
	s.audit(next.stop)
}
