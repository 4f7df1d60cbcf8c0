// Package middleware holds what stands around the handlers: it keeps deliveries
// in arrival order, gathers them into one transaction, tries again, parks what
// can never succeed, and counts. It decides nothing about a message: what an
// error means it is told by predicates, so that it knows no handler.
//
// Two rings, listed with their reasons in pipeline/chain.go:
//
//	per delivery   Observe → Poison → Outbox (waits for its batch's verdict)
//	per batch      Retry → Recover → transaction → the handlers
//
// Retry stands in the inner ring. Around a single delivery it would take a
// message out of its place in the order and put it back behind its successors.
package middleware
