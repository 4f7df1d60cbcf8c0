// Package arena is where contenders run: a Postgres and a RabbitMQ of its own,
// and for each round a ground that is new, equal to that of every other round,
// and checked afterwards. It does not know who runs.
//
//	Open      private servers, and a database with the chats to copy
//	Prepare   a round's own database, exchanges and queues, filled with messages
//	Verify    after the round: every message stored and sent, once
//	Close     the servers and everything in their folder are gone
package arena
