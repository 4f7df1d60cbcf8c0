// Package queries owns every SQL statement of the service, the tables behind
// them and the meaning of a database error. It knows nothing of messages in
// flight, of AMQP or of HTTP: it takes values and returns rows.
//
// The pipeline writes through a Writer, one dedicated session with prepared
// statements and binary arrays; the relay reads and deletes through an Outbox
// session that holds the leader's lock; everybody else reads through the pool
// of a DB.
//
// Poisoned messages are collected into a table (poison_collect.go), searched by
// one filter (poison_filter.go, poison_list.go), and changed by jobs: whoever asks
// for one only makes its row (poison_jobs.go), and one worker does what it says
// (poison_work.go). Every action leaves a record (audit.go).
//
// Statements stand beside the one function that runs them, list their columns
// and bind every value. A test prepares each of them against the migrated schema.
package queries
