package poison

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"chat-messaging/queries"
)

// Metrics count what the collector and the worker do. A nil *Metrics counts
// nothing.
type Metrics struct {
	collectedTotal *prometheus.CounterVec
	replayedTotal  *prometheus.CounterVec
}

// NewMetrics registers the counters.
func NewMetrics(registry prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		collectedTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chat_messaging_poison_collected_total",
			Help: "Messages that were taken out of the poison queue: new ones, replays that came back, copies that were there already.",
		}, []string{"result"}),
		replayedTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chat_messaging_poison_replayed_total",
			Help: "Poisoned messages that were sent again, by whether the broker took them.",
		}, []string{"result"}),
	}
	return m, errors.Join(registry.Register(m.collectedTotal), registry.Register(m.replayedTotal))
}

func (m *Metrics) collected(c queries.Collected) {
	if m == nil {
		return
	}
	m.collectedTotal.WithLabelValues("new").Add(float64(c.New))
	m.collectedTotal.WithLabelValues("returned").Add(float64(c.Returned))
	m.collectedTotal.WithLabelValues("repeated").Add(float64(c.Repeated))
}

func (m *Metrics) replayed(confirmed, refused int) {
	if m == nil {
		return
	}
	m.replayedTotal.WithLabelValues("confirmed").Add(float64(confirmed))
	m.replayedTotal.WithLabelValues("refused").Add(float64(refused))
}
