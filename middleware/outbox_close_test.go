package middleware_test

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"chat-messaging/middleware"
	"chat-messaging/queries"
)

func TestCloseFinishesTheBatchAndGivesBackTheRest(t *testing.T) {
	t.Parallel()
	g := newGate()
	r := newRig(t, g.around(note))
	first := r.send("first")
	g.waitEntered(t)
	// The front ticket stays open, so the others are sure to wait.
	open := r.arrivals.Issue()
	defer open.Leave()
	waiting := r.send("second", "third")
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		r.outbox.Close()
	}()
	close(g.open)
	accepted(t, first)
	for _, v := range waiting {
		err := v.wait(t)
		require.ErrorIs(t, err, middleware.ErrClosed)
		require.ErrorIs(t, err, context.Canceled, "the router would log it as a failure")
	}
	<-closed
	require.Equal(t, []string{"first"}, r.notes())
}

func TestTheLastBatchGetsItsVerdictsEvenWhenTheOutboxCloses(t *testing.T) {
	t.Parallel()
	shared := newRig(t, nothing)
	for range 20 {
		g := newGate()
		r := shared.another(g.around(note))
		v := r.send("first")
		g.waitEntered(t)
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			r.outbox.Close()
		}()
		close(g.open)
		require.NoError(t, v[0].wait(t), "a committed message was given back")
		<-closed
	}
}

func TestMessagesThatComeAfterCloseAreGivenBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, note)
	r.outbox.Close()
	require.ErrorIs(t, r.send("late")[0].wait(t), middleware.ErrClosed)
	require.Empty(t, r.notes())
}

func TestCloseMayBeCalledTwiceAndBeforeTheStart(t *testing.T) {
	t.Parallel()
	r := newRig(t, note)
	r.outbox.Close()
	r.outbox.Close()
	neverStarted, err := middleware.NewOutbox(validOutboxConfig())
	require.NoError(t, err)
	neverStarted.Close()
	neverStarted.Close()
}

func validOutboxConfig() middleware.OutboxConfig {
	return middleware.OutboxConfig{
		Arrivals: middleware.NewArrivals(),
		Begin:    func(context.Context) (*queries.Tx, error) { return nil, context.Canceled },
		Schema:   middleware.NewOutboxSchema(outboxEvent),
		Isolate:  func(error) bool { return false },
		Condemn:  func(err error) error { return err },
		Probe:    func(context.Context) error { return nil },
	}
}

func TestAnOutboxNeedsItsParts(t *testing.T) {
	t.Parallel()
	_, err := middleware.NewOutbox(validOutboxConfig())
	require.NoError(t, err)
	for missing, without := range map[string]func(*middleware.OutboxConfig){
		"Arrivals": func(c *middleware.OutboxConfig) { c.Arrivals = nil },
		"Begin":    func(c *middleware.OutboxConfig) { c.Begin = nil },
		"Schema":   func(c *middleware.OutboxConfig) { c.Schema = nil },
		"Isolate":  func(c *middleware.OutboxConfig) { c.Isolate = nil },
		"Condemn":  func(c *middleware.OutboxConfig) { c.Condemn = nil },
		"Probe":    func(c *middleware.OutboxConfig) { c.Probe = nil },
		"MaxBatch": func(c *middleware.OutboxConfig) { c.MaxBatch = -1 },
	} {
		t.Run(missing, func(t *testing.T) {
			t.Parallel()
			c := validOutboxConfig()
			without(&c)
			_, err := middleware.NewOutbox(c)
			require.ErrorContains(t, err, missing)
		})
	}
}

func TestTheOutboxTableIsNotReadThroughWatermill(t *testing.T) {
	t.Parallel()
	s := middleware.NewOutboxSchema(outboxEvent)
	require.Empty(t, s.SchemaInitializingQueries("outbox"))
	_, err := s.UnmarshalMessage(nil)
	require.Error(t, err)
	_, err = s.InsertQuery("outbox", message.Messages{message.NewMessage("no uuid", nil)})
	require.ErrorContains(t, err, "no uuid")
}
