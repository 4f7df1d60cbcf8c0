package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"

	"chat-messaging/http"
	"chat-messaging/pipeline"
	"chat-messaging/queries"
)

// heartbeatInterval is how often an instance says what it does, and so the time
// that rates are measured over.
const heartbeatInterval = 2 * time.Second

// sendHeartbeats keeps this instance's row in the table of instances, which is
// where status comes from, and removes it at the end.
func (a *App) sendHeartbeats(ctx context.Context) {
	id, build := uuid.New(), readBuild()
	host, _ := os.Hostname() // without a name there is still the number of the process
	ticker := time.NewTicker(heartbeatInterval)
	defer ticker.Stop()
	for {
		limited, cancel := context.WithTimeout(ctx, 2*heartbeatInterval)
		err := a.db.Heartbeat(limited, id, a.report(host, build))
		cancel()
		if err != nil && ctx.Err() == nil {
			a.logger.Debug("no heartbeat could be left", "err", err)
		}
		select {
		case <-ctx.Done():
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			if err := a.db.Leave(limited, id); err != nil {
				a.logger.Debug("this instance stays in the table until it is forgotten", "err", err)
			}
			return
		case <-ticker.C:
		}
	}
}

func (a *App) report(host string, build build) queries.Report {
	r := queries.Report{
		Host: host, PID: os.Getpid(), Version: build.Version, Commit: build.Commit, Components: a.cfg.Components,
		Problems: a.server.Problems(), Totals: a.metrics.Totals(),
	}
	if a.pipeline != nil {
		r.Consumer, r.InHand = string(a.pipeline.State()), a.pipeline.InHand()
		r.Window, r.BatchLimit = a.cfg.Prefetch, a.cfg.BatchSize
	}
	if a.relay != nil {
		r.Relay = queries.RelayStandby
		if a.relay.Leading() {
			r.Relay = queries.RelayLeading
		}
	}
	return r
}

// paused is what /readyz adds to the pipeline's check.
func (a *App) paused() string {
	c := a.pipeline.Consumption()
	if !c.Paused {
		return ""
	}
	return fmt.Sprintf("consumption is paused by %s since %s: %s", c.ChangedBy, c.ChangedAt.Format(time.RFC3339), c.Reason)
}

// queues asks for the depth of the input queue and the poison queue.
func (c Config) queues(conn *pipeline.Connection) func(context.Context) (input, poison http.Queue, err error) {
	return func(ctx context.Context) (input, poison http.Queue, err error) {
		for queue, name := range map[*http.Queue]string{&input: c.DatabaseQueueName, &poison: c.PoisonQueueName} {
			queue.Name = name
			if queue.Messages, queue.Consumers, err = pipeline.CountQueue(ctx, conn, name); err != nil {
				return http.Queue{}, http.Queue{}, err
			}
		}
		return input, poison, nil
	}
}
