// Package crash kills the service, its database, its broker and whoever takes
// its events, over and over, and then finds out whether anything is missing.
//
//	script.go    what is sent, and what must become of each message
//	producer.go  sends it, and knows what the broker has confirmed
//	service.go   the service's own binary, built to die at a failpoint
//	record.go    a dispatcher in a process of its own, which dies too: it writes
//	             what it gets to a file before it acknowledges
//	storm.go     kills and restarts them all
//	audit.go     holds the tables, the queues and the recording against the script
//	mutant.go    mistakes made on purpose, each of which the audit must notice
//
// The audit asks the service nothing: a service that loses a message may as well
// forget to count it. It checks ten invariants:
//
//	I1   every message is stored, rejected or poisoned, as it must be
//	I2   a key is stored once
//	I3   positions in a chat run from 1 without gaps
//	I4   the order in which a chat's messages are stored is that of sending
//	I5   what is stored has its event, and all dispatches of it are the same
//	I6   there is no event without its row or its rejection
//	I7   a chat's events come in order, repeats aside
//	I8   events are repeated not at all without a fault, and within bounds with
//	I9   nobody gets an event of a chat that they are not in
//	I10  in the end the queues and the outbox are empty, nothing is in hand
package crash
