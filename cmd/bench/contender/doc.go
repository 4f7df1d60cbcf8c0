// Package contender holds what our service is compared with. Each contender
// runs in a process of its own, so that its processor time and memory are
// measured like those of the service's own binary:
//
//	relay   the ceiling: what the broker lets through when nothing is stored
//	stock   the same work from Watermill's stock parts, a transaction a message
//
// Both take messages from the input queue until they are asked to end. Whether
// they have done their work is for others to find out.
package contender

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// Setup is where a contender works and how it is tuned.
type Setup struct {
	// Broker and Database are URLs.
	Broker   string
	Database string
	// QueueType is that of the queues, quorum or classic.
	QueueType        string
	InputExchange    string
	InputQueue       string
	PoisonQueue      string
	DeliveryExchange string
	Relay            RelaySettings
	Stock            StockSettings
}

// RelaySettings tune the bare relay.
type RelaySettings struct {
	// Prefetch is how many messages are under way.
	Prefetch int `json:"prefetch"`
}

// StockSettings tune the stock pipeline.
type StockSettings struct {
	// Subscribers work side by side, each with Prefetch messages at hand.
	Subscribers int `json:"subscribers"`
	Prefetch    int `json:"prefetch"`
	// Poll is how often the forwarder looks for events when it has found none.
	Poll time.Duration `json:"poll_ns"`
	// Channels is the publisher's pool.
	Channels int `json:"channels"`
}

// runs is every contender of this package, by name.
func runs() map[string]func(context.Context, Setup, *slog.Logger) error {
	return map[string]func(context.Context, Setup, *slog.Logger) error{
		"relay": runRelay,
		"stock": runStock,
	}
}

// Run runs the contender of that name until the context ends, and returns nil
// once all that it had in hand is finished.
func Run(ctx context.Context, name string, setup Setup, logger *slog.Logger) error {
	run, found := runs()[name]
	if !found {
		return fmt.Errorf("running contender %q: there are %s", name, strings.Join(slices.Sorted(maps.Keys(runs())), ", "))
	}
	if err := run(ctx, setup, logger); err != nil {
		return fmt.Errorf("running contender %s: %w", name, err)
	}
	return nil
}
