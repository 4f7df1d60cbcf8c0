// Package http is the service's HTTP side: the REST API for clients, and what
// operators ask for. It wraps net/http so completely that nobody who uses it
// needs that package, and it knows neither AMQP nor the pipeline.
//
//	POST /chats/                           get or create the chat of two users
//	GET  /chats/get-chats                  the caller's chats that have messages
//	GET  /chats/{id}                       one chat, with its last message
//	POST /chats/update-chat-related-user   the caller's own new details
//	GET  /messages/get-messages            a page of a chat's history
//	GET  /messages/{id}                    one message
//	GET  /openapi.json                     the API, in full: openapi.json is the source of truth
//	GET  /asyncapi.json                    the messages on RabbitMQ, in full
//	GET  /docs /docs/events                both for people, in the browser
//	*    /admin/…                          for operators: scripts (admin.go has the table)
//	GET  /console/                         for operators: people (console_routes.go has the table)
//	GET  /healthz /readyz /metrics         for operators; metrics only without the prefix
//
// Every path is served bare and, but for what is for operators, under /messaging,
// with and without a trailing slash. A request passes the edge (edge.go:
// everything that must also hold for a request that no route takes), then the mux
// table (routes.go), then its handler, which returns an error rather than writing
// one; problem.go is the one place that turns errors into answers.
//
// Authorization is enforced here and decided elsewhere: handlers ask the Policy
// and obey. A chat that the caller may not read is answered exactly like a chat
// that does not exist.
package http
