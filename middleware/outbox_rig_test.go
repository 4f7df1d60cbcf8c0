package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"chat-messaging/middleware"
	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// patience bounds every wait of a test: far beyond what anything takes.
const patience = 60 * time.Second

// errCondemned marks what Condemn has made.
var errCondemned = errors.New("condemned")

// rig is an outbox on a real database around a plain handler func.
type rig struct {
	t        testing.TB
	db       *queries.DB
	writer   *queries.Writer
	arrivals *middleware.Arrivals
	outbox   *middleware.Outbox
	handle   message.HandlerFunc

	mu      sync.Mutex
	batches [][]string // bodies of the batches that the handler saw
}

// newRig starts an outbox. The handler notes each body in a table and returns
// an event for it, unless another one is given.
func newRig(t testing.TB, next message.HandlerFunc, change ...func(*middleware.OutboxConfig)) *rig {
	t.Helper()
	r := &rig{t: t, db: queriestest.New(t), arrivals: middleware.NewArrivals()}
	_, err := r.db.ExecContext(context.Background(),
		`CREATE TABLE notes (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL)`)
	require.NoError(t, err)
	r.start(queries.NewWriter(r.db), next, change...)
	t.Cleanup(func() {
		r.outbox.Close()
		r.writer.Close()
	})
	return r
}

// start puts an outbox around the handler.
func (r *rig) start(writer *queries.Writer, next message.HandlerFunc, change ...func(*middleware.OutboxConfig)) {
	r.t.Helper()
	r.writer = writer
	cfg := middleware.OutboxConfig{
		Arrivals: r.arrivals,
		Begin:    writer.Begin,
		Schema:   middleware.NewOutboxSchema(outboxEvent),
		Isolate:  isolates,
		Condemn:  func(err error) error { return fmt.Errorf("%w: %w", errCondemned, err) },
		Probe:    r.db.Probe,
		Around: []message.HandlerMiddleware{
			middleware.Retry(middleware.RetryConfig{
				ShouldRetry:     func(err error) bool { return !isolates(err) },
				InitialInterval: time.Millisecond, MaxInterval: 10 * time.Millisecond,
			}),
			middleware.Recover,
		},
	}
	for _, fn := range change {
		fn(&cfg)
	}
	var err error
	r.outbox, err = middleware.NewOutbox(cfg)
	require.NoError(r.t, err)
	r.handle = r.outbox.Middleware(func(carrier *message.Message) ([]*message.Message, error) {
		r.see(middleware.BatchFrom(carrier.Context()))
		return next(carrier)
	})
}

// another returns a further outbox on the same database. The caller closes it
// before the next one is used: they share the one session.
func (r *rig) another(next message.HandlerFunc, change ...func(*middleware.OutboxConfig)) *rig {
	fresh := &rig{t: r.t, db: r.db, arrivals: middleware.NewArrivals()}
	fresh.start(r.writer, next, change...)
	return fresh
}

func nothing(*message.Message) ([]*message.Message, error) { return nil, nil }

func (r *rig) see(b *middleware.Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := make([]string, len(b.Messages))
	for i, msg := range b.Messages {
		seen[i] = string(msg.Payload)
	}
	r.batches = append(r.batches, seen)
}

func (r *rig) seen() [][]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([][]string{}, r.batches...)
}

// note is the usual handler.
func note(carrier *message.Message) ([]*message.Message, error) {
	b := middleware.BatchFrom(carrier.Context())
	events := make([]*message.Message, len(b.Messages))
	for i, msg := range b.Messages {
		if _, err := b.Tx.ExecContext(carrier.Context(), `INSERT INTO notes (body) VALUES ($1)`, string(msg.Payload)); err != nil {
			return nil, err
		}
		events[i] = message.NewMessage(uuid.NewString(), []byte("event of "+string(msg.Payload)))
	}
	return events, nil
}

func outboxEvent(msg *message.Message) (queries.OutboxEvent, error) {
	id, err := uuid.Parse(msg.UUID)
	return queries.OutboxEvent{ID: id, UserID: 1, Name: "event", Payload: msg.Payload}, err
}

func isolates(err error) bool {
	var panicked *middleware.PanicError
	return errors.As(err, &panicked) || queries.Classify(err) == queries.FaultData
}

// verdict is what became of one message.
type verdict chan error

// join lets a message arrive with a ticket of its own, in a goroutine as the
// router starts it.
func (r *rig) join(ctx context.Context, body string, ticket *middleware.Ticket) verdict {
	v := make(verdict, 1)
	msg := message.NewMessage(body, []byte(body))
	msg.SetContext(middleware.WithTicket(ctx, ticket))
	go func() {
		_, err := r.handle(msg)
		v <- err
	}()
	return v
}

// send lets messages arrive in order; their goroutines run as they like.
func (r *rig) send(payloads ...string) []verdict {
	verdicts := make([]verdict, len(payloads))
	for i, body := range payloads {
		verdicts[i] = r.join(context.Background(), body, r.arrivals.Issue())
	}
	return verdicts
}

func (v verdict) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-v:
		return err
	case <-time.After(patience):
		require.FailNow(t, "no verdict")
		return nil
	}
}

func (v verdict) pending() bool { return len(v) == 0 }

func accepted(t testing.TB, verdicts []verdict) {
	t.Helper()
	for _, v := range verdicts {
		require.NoError(t, v.wait(t))
	}
}

// notes are the committed bodies, in the order of their writing.
func (r *rig) notes() []string {
	r.t.Helper()
	var out []string
	require.NoError(r.t, r.db.SelectContext(context.Background(), &out, `SELECT body FROM notes ORDER BY n`))
	return out
}

// events are the payloads in the outbox table, by id.
func (r *rig) events() []string {
	r.t.Helper()
	var out []string
	require.NoError(r.t, r.db.SelectContext(context.Background(), &out, `
SELECT split_part(line, E'\t', 5)
FROM outbox CROSS JOIN LATERAL unnest(string_to_array(rtrim(events, E'\n'), E'\n')) WITH ORDINALITY AS l (line, n)
ORDER BY id, n`))
	return out
}

func eventsOf(bodies []string) []string {
	out := make([]string, len(bodies))
	for i, body := range bodies {
		out[i] = "event of " + body
	}
	return out
}

func numbers(from, to int) []string {
	out := make([]string, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, strconv.Itoa(i))
	}
	return out
}

// until waits for a condition.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(patience)
	for !condition() {
		select {
		case <-ticker.C:
		case <-timeout:
			require.FailNow(t, "this never came true: "+what)
		}
	}
}

// gate is a handler that waits to be opened.
type gate struct {
	entered chan struct{}
	open    chan struct{}
}

func newGate() *gate { return &gate{entered: make(chan struct{}, 100), open: make(chan struct{})} }

func (g *gate) around(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		g.entered <- struct{}{}
		<-g.open
		return next(msg)
	}
}

func (g *gate) waitEntered(t testing.TB) {
	t.Helper()
	select {
	case <-g.entered:
	case <-time.After(patience):
		require.FailNow(t, "the handler was not called")
	}
}
