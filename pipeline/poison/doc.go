// Package poison is what operators have the poison queue emptied by: it collects
// poisoned messages into Postgres, and replays, discards and purges them there.
//
//	pipeline/park.go ──▶ poison queue        works while Postgres is away
//	                        │ collector.go   commit, then acknowledge
//	                        ▼
//	                  table poisoned ◀── console, REST, CLI: search, edit, make jobs
//	                        │ worker.go      one at a time, by an advisory lock
//	                        ▼ replay.go      claim → publish → confirm → settle
//	                  where it came from
//
// # Where the truth is
//
// A queue cannot be searched, and only its head can be taken. A copy of it in
// Postgres could; but two places that both count have to be kept in step, and every
// crash, and everybody who drains the queue with the broker's own tools, leaves
// them out of step. So the message moves: what is in the queue waits to be
// collected, what is in the table is collected, and only the table is replayed
// from. A message that somebody took out of the queue is one that does not come,
// which is no error; a crash between the commit and the acknowledgement brings a
// message again, and its id says that it is there already. While Postgres is away
// the collector gives everything back and waits, and the queue grows.
//
// # What a replay promises
//
// A job claims entries before it sends them, so no two jobs, and no two operators,
// send the same one. The number of the attempt is committed with the claim; a
// worker that dies between the broker's confirm and its own commit leaves the entry
// claimed, and the next one sends it again with the same poison id and attempt. That
// has one effect: a message that is stored the second time is a repeat of the first
// (queries' idempotency key), and one that is poisoned again comes back as the same
// attempt, which counts once. Within a job the messages of a chat go out in the
// order in which they first came in.
//
// A replay has the exchange, routing key, properties and headers of the original,
// but for what would lose it or send it elsewhere: it is persistent, does not
// expire, has no user id and no CC. Its headers say which entry and which attempt it
// is.
package poison
