package http

import (
	"context"
	"sync"
	"time"

	"chat-messaging/queries"
)

const (
	// flowInterval is that of the instances' heartbeats; flowsKept makes it three
	// minutes.
	flowInterval = 2 * time.Second
	flowsKept    = 91
)

// flows remembers what all instances together have done in a second, as their
// heartbeats tell, so that a page can show how that has changed.
type flows struct {
	db     *queries.DB
	cancel context.CancelFunc
	worker sync.WaitGroup

	mu      sync.Mutex
	samples []PerSecond
}

func newFlows(db *queries.DB) *flows { return &flows{db: db, cancel: func() {}} }

func (f *flows) start() {
	var ctx context.Context
	ctx, f.cancel = context.WithCancel(context.Background())
	f.worker.Go(func() {
		ticker := time.NewTicker(flowInterval)
		defer ticker.Stop()
		for {
			f.collect(ctx)
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
}

func (f *flows) stop() {
	f.cancel()
	f.worker.Wait()
}

// collect takes one sample. While the database is away nothing is settled, so that
// counts as nothing.
func (f *flows) collect(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, flowInterval)
	defer cancel()
	var total Status
	if instances, err := f.db.Instances(limited); err == nil {
		for _, each := range instances {
			total.add(newInstance(each))
		}
	}
	var taken PerSecond
	if total.Rates != nil {
		taken = *total.Rates
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.samples = append(f.samples, taken)
	if len(f.samples) > flowsKept {
		f.samples = append(f.samples[:0], f.samples[len(f.samples)-flowsKept:]...)
	}
}

// flow is one kind of thing that happens: how often now, and how that went in the
// last minutes, the newest last.
type flow struct {
	Name, Meaning string
	PerSecond     float64
	History       []float64
}

func (f *flows) read() []flow {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := []flow{
		{Name: "In", Meaning: "deliveries settled"},
		{Name: "Out", Meaning: "events dispatched"},
		{Name: "Rejected", Meaning: "their senders are told why"},
		{Name: "Poisoned", Meaning: "could not be processed"},
	}
	for _, sample := range f.samples {
		for i, value := range []float64{sample.In, sample.Dispatched, sample.Rejected, sample.Poisoned} {
			list[i].History = append(list[i].History, value)
			list[i].PerSecond = value
		}
	}
	return list
}
