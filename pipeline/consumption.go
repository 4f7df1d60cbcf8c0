package pipeline

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"chat-messaging/queries"
)

// consumptionInterval is how often an instance asks whether its queue is paused.
const consumptionInterval = time.Second

// pause is what the instance knows of whether its queue is paused.
type pause struct {
	asking sync.Mutex // an old answer must not replace a newer one
	known  atomic.Pointer[queries.Consumption]
}

// Consumption is whether the queue is paused, as last heard.
func (p *Pipeline) Consumption() queries.Consumption {
	if known := p.pause.known.Load(); known != nil {
		return *known
	}
	return queries.Consumption{Queue: p.cfg.Topology.DatabaseQueue}
}

// watchConsumption obeys pausing and resuming within about a second. While the
// database is away what was heard last stays: nothing could be handled anyway.
func (p *Pipeline) watchConsumption(ctx context.Context) {
	ticker := time.NewTicker(consumptionInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := p.readConsumption(limited)
		cancel()
		if err != nil && !errors.Is(err, errPaused) && ctx.Err() == nil {
			p.cfg.Logger.Debug("cannot tell whether the queue is paused", "err", err)
		}
	}
}

// readConsumption asks, and sets the gate. It returns errPaused if it is shut.
func (p *Pipeline) readConsumption(ctx context.Context) error {
	p.pause.asking.Lock()
	defer p.pause.asking.Unlock()
	now, err := p.cfg.DB.Consumption(ctx, p.cfg.Topology.DatabaseQueue)
	if err != nil {
		return err
	}
	was := p.Consumption().Paused
	switch {
	case now.Paused && !was:
		p.cfg.Logger.Warn("consumption is paused", "queue", now.Queue, "by", now.ChangedBy, "reason", now.Reason)
	case was && !now.Paused:
		p.cfg.Logger.Info("consumption is resumed", "queue", now.Queue, "by", now.ChangedBy, "reason", now.Reason)
	}
	p.pause.known.Store(&now)
	p.gate.Set(!now.Paused)
	if now.Paused {
		return errPaused
	}
	return nil
}
