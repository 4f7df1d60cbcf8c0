package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"chat-messaging/http"
	"chat-messaging/migrations"
	"chat-messaging/pipeline"
)

// checks are what /readyz asks.
func (a *App) checks() []http.Check {
	checks := []http.Check{
		{Name: "database", Run: func(ctx context.Context) error { return a.db.PingContext(ctx) }},
		{Name: "migrations", Run: a.migrated},
	}
	if a.publish != nil {
		checks = append(checks, http.Check{Name: "broker", Run: a.brokerUp})
	}
	if a.pipeline != nil {
		checks = append(checks, http.Check{
			Name: "pipeline", Run: func(context.Context) error { return a.pipeline.Err() }, Detail: a.paused,
		})
	}
	if a.relay != nil {
		checks = append(checks, http.Check{Name: "relay", Run: func(context.Context) error { return a.relay.Err() }})
	}
	return checks
}

// brokerUp connects what nothing has connected yet, and tells why that fails.
func (a *App) brokerUp(ctx context.Context) error {
	for _, c := range []*pipeline.Connection{a.consume, a.publish} {
		if c == nil || c.Err() == nil {
			continue
		}
		if c.Blocked() {
			// Under an alarm the broker does not read, so that a channel would never
			// open, and giving it up would cost the connection.
			return c.Err()
		}
		if err := tryConnecting(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// How long a check waits for a connection, and how long the trying goes on
// without it: a broker that refuses us takes its time, and the next check is to
// say why it did.
const (
	connectWait  = time.Second
	connectLimit = 5 * time.Second
)

func tryConnecting(ctx context.Context, c *pipeline.Connection) error {
	tried := make(chan error, 1)
	go func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectLimit)
		defer cancel()
		ch, err := c.Channel(limited)
		if err == nil {
			_ = ch.Close()
		}
		tried <- err
	}()
	select {
	case err := <-tried:
		return cmp.Or(c.Err(), err)
	case <-time.After(connectWait):
		return cmp.Or(c.Err(), errors.New("the broker does not answer"))
	}
}

func (a *App) migrated(ctx context.Context) error {
	pending, err := migrations.Pending(ctx, a.db.DB.DB)
	if err != nil {
		return err
	}
	if pending > 0 {
		return fmt.Errorf("%d migrations are pending: run %s migrate up", pending, program)
	}
	return nil
}
