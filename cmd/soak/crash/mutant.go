package crash

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"chat-messaging/handlers"
	"chat-messaging/middleware/failpoint"
	"chat-messaging/pipeline"
	"chat-messaging/queries"
)

// Mutant is a mistake, and a scenario in which it must cost an invariant. The
// same scenario without the mistake must cost none: otherwise it is the scenario
// that is caught.
type Mutant struct {
	Name string
	// CaughtBy is the invariant that must be violated, whichever others are too.
	CaughtBy Invariant

	mutant           failpoint.Mutant
	withoutUniqueKey bool
	// stuck: with the mistake there is always something left over.
	stuck    bool
	scenario func(context.Context, *Run) error
}

// Mutants returns all of them.
func Mutants() []Mutant {
	return []Mutant{
		{Name: "ack before commit", CaughtBy: I1, mutant: failpoint.AckBeforeCommit, scenario: dieBeforeCommit},
		{Name: "mark before confirm", CaughtBy: I5, mutant: failpoint.MarkBeforeConfirm, scenario: dieInWindow},
		{Name: "no unique key", CaughtBy: I2, withoutUniqueKey: true, scenario: repeatMessages},
		{Name: "nack on database error", CaughtBy: I4, mutant: failpoint.NackOnDatabaseError, scenario: breakSessions},
		{Name: "high-water offset relay", CaughtBy: I5, mutant: failpoint.HighWaterOffset, stuck: true, scenario: commitLate},
		{Name: "ignore returns", CaughtBy: I5, mutant: failpoint.IgnoreReturns, scenario: unbindQueue},
	}
}

// Run runs the scenario with the mistake or without it. Of the configuration it
// chooses the ground and the mutant.
func (m Mutant) Run(ctx context.Context, cfg Config, mistaken bool) (*Audit, error) {
	cfg.Ground = GroundConfig{QueueType: pipeline.QueueQuorum, Routing: pipeline.RoutingFanIn, Chats: 10}
	cfg.Ground.Name = strings.NewReplacer(" ", "_", "-", "_").Replace(m.Name) + "_control"
	if mistaken {
		cfg.Ground.Name = strings.TrimSuffix(cfg.Ground.Name, "_control")
		cfg.Ground.WithoutUniqueKey, cfg.Mutant = m.withoutUniqueKey, m.mutant
		if m.stuck {
			cfg.Settle = 15 * time.Second
		}
	}
	r, err := Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := m.scenario(ctx, r); err != nil {
		return nil, fmt.Errorf("in the scenario of %q: %w", m.Name, err)
	}
	return r.Finish(ctx)
}

// dieBeforeCommit kills the service with a batch in hand, in front of a backlog.
func dieBeforeCommit(ctx context.Context, r *Run) error {
	return r.dieOverBacklog(ctx, death{point: failpoint.BeforeCommit, visits: 2})
}

// dieInWindow kills the service when it is about to publish the fiftieth event.
func dieInWindow(ctx context.Context, r *Run) error {
	return r.dieOverBacklog(ctx, death{point: failpoint.RelayMidWindow, visits: 50})
}

// scenarioPatience is how long a service may take to get to its death, which takes
// moments unless the machine is very busy.
const scenarioPatience = 3 * time.Minute

func (r *Run) dieOverBacklog(ctx context.Context, d death) error {
	r.script.Draw(600)
	if err := r.send(ctx); err != nil {
		return err
	}
	if err := r.serve(d); err != nil {
		return err
	}
	return r.awaitDeath(ctx, scenarioPatience)
}

// repeatMessages sends a mix in which messages come again several batches later.
func repeatMessages(ctx context.Context, r *Run) error {
	if err := r.serve(death{}); err != nil {
		return err
	}
	r.script.Draw(800)
	return r.send(ctx)
}

// breakSessions ends the service's sessions under a steady load.
func breakSessions(ctx context.Context, r *Run) error {
	if err := r.serve(death{}); err != nil {
		return err
	}
	const rounds, messages = 12, 300
	for i := range rounds {
		r.script.Draw(messages)
		if err := r.send(ctx); err != nil {
			return err
		}
		// With most of this round still to come.
		if err := r.awaitEvents(ctx, i*messages/2); err != nil {
			return err
		}
		if _, err := r.ground.db.ExecContext(ctx, endSessionsStatement, auditor); err != nil {
			return fmt.Errorf("ending sessions: %w", err)
		}
		r.faults++
	}
	return nil
}

const endSessionsStatement = `
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name <> $1`

// commitLate lets another writer commit an event whose id is lower than that of
// events which are out by then.
func commitLate(ctx context.Context, r *Run) error {
	if err := r.serve(death{}); err != nil {
		return err
	}
	late := r.ground.cfg.Chats - 1 // the chat that the other writer locks
	for i := range late {
		r.script.Add(Good, i)
	}
	if err := r.send(ctx); err != nil {
		return err
	}
	// The other writer's transaction is not to wait for the service's start.
	if err := r.awaitEvents(ctx, late); err != nil {
		return err
	}
	for i := range 50 {
		r.script.Add(Good, i%late)
	}
	writer := queries.NewWriter(r.ground.db)
	defer writer.Close()
	tx, err := r.storeBeside(ctx, writer, late)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := r.send(ctx); err != nil {
		return err
	}
	if err := r.awaitEvents(ctx, late+50); err != nil {
		return err
	}
	return tx.Commit()
}

// storeBeside stores a message as the service does, in a transaction that the
// caller ends.
func (r *Run) storeBeside(ctx context.Context, writer *queries.Writer, chat int) (*queries.Tx, error) {
	c := r.ground.chats[chat]
	e := &Entry{Kind: Good, Chat: chat, Sender: c.Members[0], Recipient: c.Members[1], ID: "beside", Body: "late", Seq: 1, Publishes: 1}
	e.Payload = r.script.payload(e)
	policy, err := handlers.DefaultPolicy()
	if err != nil {
		return nil, err
	}
	tx, err := writer.Begin(ctx)
	if err != nil {
		return nil, err
	}
	batch := &handlers.Batch{Tx: tx, Items: []*handlers.Item{{Payload: e.Payload}}}
	err = handlers.Chain(handlers.Validate(handlers.Limits{}), handlers.Authorize(handlers.ChatMembers, policy),
		handlers.Persist, handlers.Republish(handlers.EventMarshaler{}))(ctx, batch)
	if err == nil && len(batch.Events) != 1 {
		err = errors.New("it was not accepted")
	}
	if err == nil {
		err = announce(ctx, tx, batch.Events[0], queries.OutboxEvent{ChatID: c.ID, UserID: e.Recipient})
	}
	if err != nil {
		tx.Rollback()
		return nil, fmt.Errorf("storing a message beside the service: %w", err)
	}
	r.direct = append(r.direct, e)
	return tx, nil
}

// announce writes the event of an accepted message into the outbox, for its chat and
// its user.
func announce(ctx context.Context, tx *queries.Tx, msg *message.Message, event queries.OutboxEvent) (err error) {
	if event.ID, err = handlers.EventKey(msg.UUID); err != nil {
		return err
	}
	event.Name, event.Payload = handlers.NameMessageDelivered, msg.Payload
	var insert queries.InsertOutbox
	statement, args, err := insert.Build([]queries.OutboxEvent{event})
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, statement, args...)
	return err
}

// unbindQueue lets events find no queue for a while: one of each chat, so that
// their order cannot suffer.
func unbindQueue(ctx context.Context, r *Run) error {
	if err := r.serve(death{}); err != nil {
		return err
	}
	r.script.Draw(200)
	if err := r.send(ctx); err != nil {
		return err
	}
	if err := r.awaitEvents(ctx, r.script.Events(200)); err != nil {
		return err
	}
	if err := r.ground.bind(ctx, false); err != nil {
		return err
	}
	r.faults++
	before, err := r.ground.count(ctx, "messages")
	if err != nil {
		return err
	}
	for chat := range r.ground.cfg.Chats {
		r.script.Add(Good, chat)
	}
	if err := r.send(ctx); err != nil {
		return err
	}
	if err := await(ctx, "they are stored", func() (bool, error) {
		n, err := r.ground.count(ctx, "messages")
		return n == before+r.ground.cfg.Chats, err
	}); err != nil {
		return err
	}
	// Time to be thrown away in: who does not throw them away stays as it is.
	limited, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_ = await(limited, "they are gone", func() (bool, error) {
		n, err := r.ground.count(ctx, "outbox")
		return n == 0, err
	})
	return r.ground.bind(ctx, true)
}

// awaitEvents waits until so many different events are recorded.
func (r *Run) awaitEvents(ctx context.Context, n int) error {
	return await(ctx, fmt.Sprintf("%d events are recorded", n), func() (bool, error) {
		seen, err := r.recording.read()
		return seen >= n, err
	})
}
