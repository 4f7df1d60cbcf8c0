package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A stranger keeps one chat locked. The messages of that chat wait, in their
// order; all others are stored and dispatched.
func TestFaultOneChatIsLocked(t *testing.T) {
	t.Parallel()
	s := newScene(newCorner(t, "PREFETCH=2000"), 1000)
	var log output
	app := s.runLogging(newLogger(&log, "info", "text"), s.lines()...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the service said:\n%s", tail(log.String(), 20))
		}
	})
	awaitReady(t, app.url)
	locked := s.o.chats[0]
	tx, _ := s.holdTx(fmt.Sprintf("SELECT FROM chats WHERE id = %d FOR UPDATE", locked))
	began := time.Now()
	go func() { s.sent <- s.o.send(s.t.Context(), s.n, func() int { return s.n }) }()
	s.r.await(s.n - s.o.sent[locked])
	took := time.Since(began)
	t.Logf("%d messages of other chats were dispatched after %s", s.n-s.o.sent[locked], took.Round(time.Millisecond))
	require.Less(t, took, recoveryBound)
	require.Zero(t, s.count(fmt.Sprintf("messages WHERE chat_id = %d", locked)))
	require.True(t, logged(&log, "somebody else has locked chats"))
	for _, e := range s.r.all() {
		require.NotEqual(t, fmt.Sprint(locked), e.ChatID)
	}
	s.recovers("a locked chat", func() { require.NoError(t, tx.Rollback()) })
	requireBlameless(t, app.url)
	require.Zero(t, s.audit(app.drain))
	require.True(t, logged(&log, "no message waits for a locked chat any more"))
}
