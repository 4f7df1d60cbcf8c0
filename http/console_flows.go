package http

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// flowInterval and flowsKept: the last three minutes.
	flowInterval = 2 * time.Second
	flowsKept    = 91
)

// flows remembers what the counters of this process have been, so that a page can
// show what happens in a second and how that has changed.
type flows struct {
	registry prometheus.Gatherer
	now      func() time.Time
	done     chan struct{}
	once     sync.Once
	worker   sync.WaitGroup

	mu      sync.Mutex
	samples []sample
}

// sample is the counters at one time.
type sample struct {
	at                          time.Time
	in, out, rejected, poisoned float64
}

func newFlows(registry prometheus.Gatherer, now func() time.Time) *flows {
	return &flows{registry: registry, now: now, done: make(chan struct{})}
}

func (f *flows) start() {
	f.worker.Go(func() {
		ticker := time.NewTicker(flowInterval)
		defer ticker.Stop()
		for {
			f.collect()
			select {
			case <-f.done:
				return
			case <-ticker.C:
			}
		}
	})
}

func (f *flows) stop() {
	f.once.Do(func() { close(f.done) })
	f.worker.Wait()
}

// collect takes one sample. Counters that are not there count as 0: the process
// may have no pipeline.
func (f *flows) collect() {
	families, _ := f.registry.Gather() // one broken collector hides only itself
	taken := sample{at: f.now()}
	for _, family := range families {
		switch family.GetName() {
		case "chat_messaging_outcomes_total":
			for _, m := range family.GetMetric() {
				n := m.GetCounter().GetValue()
				taken.in += n
				for _, label := range m.GetLabel() {
					switch {
					case label.GetName() == "outcome" && label.GetValue() == "rejected":
						taken.rejected += n
					case label.GetName() == "outcome" && label.GetValue() == "poisoned":
						taken.poisoned += n
					}
				}
			}
		case "chat_messaging_events_total":
			for _, m := range family.GetMetric() {
				taken.out += m.GetCounter().GetValue()
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.samples = append(f.samples, taken)
	if len(f.samples) > flowsKept {
		f.samples = append(f.samples[:0], f.samples[len(f.samples)-flowsKept:]...)
	}
}

// flow is one kind of thing that happens: how often now, how often so far, and
// how that went in the last minutes.
type flow struct {
	Name, Meaning string
	PerSecond     float64
	Total         float64
	History       []float64
}

// read returns the flows, the newest value of a history last.
func (f *flows) read() []flow {
	f.mu.Lock()
	samples := append([]sample(nil), f.samples...)
	f.mu.Unlock()
	list := []flow{
		{Name: "In", Meaning: "deliveries settled"},
		{Name: "Out", Meaning: "events dispatched"},
		{Name: "Rejected", Meaning: "senders told why"},
		{Name: "Poisoned", Meaning: "could not be processed"},
	}
	values := []func(sample) float64{
		func(s sample) float64 { return s.in }, func(s sample) float64 { return s.out },
		func(s sample) float64 { return s.rejected }, func(s sample) float64 { return s.poisoned },
	}
	for i, value := range values {
		for j := 1; j < len(samples); j++ {
			took := samples[j].at.Sub(samples[j-1].at).Seconds()
			if took > 0 {
				list[i].History = append(list[i].History, (value(samples[j])-value(samples[j-1]))/took)
			}
		}
		if n := len(samples); n > 0 {
			list[i].Total = value(samples[n-1])
		}
		// Five samples, so that the number can be read.
		if n := min(5, len(list[i].History)); n > 0 {
			for _, v := range list[i].History[len(list[i].History)-n:] {
				list[i].PerSecond += v / float64(n)
			}
		}
	}
	return list
}
