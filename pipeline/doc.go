// Package pipeline carries messages from RabbitMQ through the handlers into
// Postgres, and their outcomes back to RabbitMQ. Start here.
//
//	queue database.primary
//	   │   subscriber.go, window.go   up to Prefetch deliveries in hand, each with a
//	   │                              ticket of its arrival; acknowledge.go acks them
//	   │                              in order, many at once; intake.go stops reading
//	   │                              where they are huge
//	   ▼
//	Watermill router                  a goroutine a message, which carries what has
//	   │                              arrived together: gather.go, middleware/group.go
//	   │   chain.go                   what stands around it, and why in that order:
//	   │     per delivery             observe → poison → outbox: wait for the verdict
//	   │     per batch                retry → recover → transaction
//	   ▼
//	batch.go: one batch, one transaction, in ticket order
//	   │   validate → authorize → persist → republish     (package handlers)
//	   ▼
//	COMMIT ──▶ messages, chats.last_seq and outbox rows, all or none
//	   │  ╲
//	   │   ╲ verdicts: ack, or park.go copies the message into the poison queue
//	   ▼                and then ack
//	relay.go, dispatch.go, flight.go  read rows → publish with confirms → delete rows
//	   │   publisher.go, marshaler.go
//	   ▼
//	exchange delivery
//
// # What is promised, hop by hop
//
// Intake. A delivery is acknowledged after its transaction is committed or its
// poisoned copy confirmed, never before, and only on the channel it came on. A
// message that the broker hands over is therefore stored, answered or parked. What
// the broker loses before that is lost: messages that producers did not mark
// persistent, in a classic queue, when the broker restarts.
//
// Storage. A message is stored at most once, because (sender_id,
// client_message_id) is unique in the schema; its positions in the chat, seq, run
// from 1 without gaps, in the order in which the queue delivered.
//
// A chat that somebody else has locked holds up its own messages and no others,
// after a moment in which it holds up all.
//
// Outcome. The event is in the same transaction as the message, so there is one
// without the other never.
//
// Dispatch. Every event is published and confirmed at least once, and without a
// fault exactly once. What makes it go out again (the service dies between the
// confirm and the delete, a confirm is lost, a client repeats its message) goes out
// under the same message_id; middleware.Deduplicator is the consumer's half. Of a
// chat, first occurrences come in the order of seq, unless the broker itself
// refuses one event and takes the next (see leader.settle).
//
// Poison. Only a message that can never succeed is parked, with its reason, and
// only while the database has proved healthy. No outage, however long, parks or
// rejects a message: the window is held, after OutageAfter it is given back, and
// the queue keeps it.
//
// Pause. consumption.go asks Postgres every second whether the queue is paused,
// and before the first message; gate.go holds the subscriber back. What is in hand
// is settled first, so a pause gives back only what no handler has seen.
//
// One consumer. Order needs a single consumer; exclusivity.go finds the means
// that the queue has. Others stand by and take over.
//
// What is parked is collected from the queue into Postgres, where operators
// search, mend and replay it: package pipeline/poison.
//
// # Two ways to extend
//
// What must happen before a message is stored is a handlers.Handler in
// Config.BeforePersist. What follows from an event is a cqrs event handler in a
// service of its own, behind middleware.Deduplicator: see the watch command.
package pipeline
