package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"chat-messaging/pipeline"
	"chat-messaging/pipeline/poison"
)

// addPoison makes what collects poisoned messages and does what operators want
// done with them.
func (a *App) addPoison(registry prometheus.Registerer) error {
	metrics, err := poison.NewMetrics(registry)
	if err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	// A connection of its own: poisoned messages may be large, and must not stand
	// in the way of others.
	if a.collect, err = pipeline.NewConnection(string(a.cfg.RabbitMQURL), program+" poison", a.logger); err != nil {
		return err
	}
	if a.collector, err = poison.NewCollector(poison.CollectorConfig{
		DB: a.db, Connection: a.collect, Topology: a.cfg.topology(), Migrated: a.migrated, Metrics: metrics, Logger: a.logger,
	}); err != nil {
		return err
	}
	a.worker, err = poison.NewWorker(poison.WorkerConfig{
		DB: a.db, Connection: a.publish, Keep: a.cfg.PoisonRetention, Metrics: metrics, Logger: a.logger,
	})
	return err
}

// runPoison works until the context ends. Neither part ends the service: while one
// cannot work, messages are kept where they are.
func (a *App) runPoison(ctx context.Context, workers *sync.WaitGroup) {
	if a.collector == nil {
		return
	}
	workers.Go(func() {
		if err := a.collector.Run(ctx); err != nil {
			a.logger.Error("poisoned messages are not collected and stay in their queue", "err", err)
		}
	})
	workers.Go(func() { a.worker.Run(ctx) })
}
