package pipeline

import (
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"chat-messaging/handlers"
)

// Metrics are the pipeline's and the relay's counters. Names and labels are
// part of the service's interface.
type Metrics struct {
	outcomes    *prometheus.CounterVec
	deliveries  *prometheus.HistogramVec
	finished    prometheus.Observer // of deliveries: looked up once, not for each message
	unfinished  prometheus.Observer
	batchSize   prometheus.Histogram
	batchTime   *prometheus.HistogramVec
	retries     prometheus.Counter
	parkErrors  prometheus.Counter
	state       *prometheus.GaugeVec
	dispatched  *prometheus.CounterVec
	held        prometheus.Counter
	outboxDelay prometheus.Histogram
}

// delayBuckets reach from a commit on a fast disk to an outage.
var delayBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// NewMetrics registers the counters.
func NewMetrics(registry prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chat_messaging_outcomes_total",
			Help: "Deliveries by what became of them, and the code of the reason. Each delivery counts once, when its transaction is committed or its copy parked.",
		}, []string{"outcome", "code"}),
		deliveries: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "chat_messaging_delivery_seconds",
			Help:    "Time from handing a delivery to the handlers to its verdict, by result.",
			Buckets: delayBuckets,
		}, []string{"result"}),
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "chat_messaging_batch_messages",
			Help:    "Messages in a transaction.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000},
		}),
		batchTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "chat_messaging_batch_seconds",
			Help:    "Time of a transaction, by result.",
			Buckets: delayBuckets,
		}, []string{"result"}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chat_messaging_batch_retries_total",
			Help: "Transactions that were tried again.",
		}),
		parkErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chat_messaging_park_failures_total",
			Help: "Failed tries to copy a message into the poison queue.",
		}),
		state: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "chat_messaging_consumer_state",
			Help: "1 for the state that the consumer is in.",
		}, []string{"state"}),
		dispatched: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chat_messaging_events_total",
			Help: "Events that left the outbox, by whether a queue took them.",
		}, []string{"result"}),
		held: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chat_messaging_events_held_total",
			Help: "Events that could not be dispatched and were kept for another try.",
		}),
		outboxDelay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "chat_messaging_outbox_delay_seconds",
			Help:    "How long the oldest event of a dispatched window was in the outbox.",
			Buckets: delayBuckets,
		}),
	}
	m.finished = m.deliveries.WithLabelValues("acknowledged")
	m.unfinished = m.deliveries.WithLabelValues("unfinished")
	var errs []error
	for _, c := range []prometheus.Collector{
		m.outcomes, m.deliveries, m.batchSize, m.batchTime, m.retries, m.parkErrors, m.state, m.dispatched, m.held, m.outboxDelay,
	} {
		errs = append(errs, registry.Register(c))
	}
	return m, errors.Join(errs...)
}

// delivery is for middleware.Observe.
func (m *Metrics) delivery(took time.Duration, err error) {
	if err != nil {
		m.unfinished.Observe(took.Seconds())
		return
	}
	m.finished.Observe(took.Seconds())
}

func (m *Metrics) batch(size int, took time.Duration, err error) {
	result := "committed"
	if err != nil {
		result = "rolled_back"
	} else {
		m.batchSize.Observe(float64(size))
	}
	m.batchTime.WithLabelValues(result).Observe(took.Seconds())
}

// settled counts the outcomes of a committed batch. Failed items are counted
// once they are parked.
func (m *Metrics) settled(b *handlers.Batch) {
	accepted := 0
	for _, item := range b.Items {
		switch item.Verdict {
		case handlers.Accepted:
			accepted++
		case handlers.Failed, handlers.Held:
		default:
			m.outcomes.WithLabelValues(item.Verdict.String(), item.Rejection.Code).Inc()
		}
	}
	if accepted > 0 {
		m.outcomes.WithLabelValues(handlers.Accepted.String(), "").Add(float64(accepted))
	}
}

func (m *Metrics) parked(code string) {
	m.outcomes.WithLabelValues(handlers.Failed.String(), code).Inc()
}

func (m *Metrics) parkFailed(logger *slog.Logger) func(error, time.Duration) {
	return func(err error, pause time.Duration) {
		m.parkErrors.Inc()
		logger.Error("a message could not be moved to the poison queue and stays unacknowledged", "err", err, "pause", pause)
	}
}

func (m *Metrics) consumerState(current State) {
	for _, s := range []State{Waiting, Standby, Consuming, Paused, Stopped} {
		value := 0.0
		if s == current {
			value = 1
		}
		m.state.WithLabelValues(string(s)).Set(value)
	}
}

// Dispatched implements RelayObserver.
func (m *Metrics) Dispatched(confirmed, unroutable int, oldest time.Duration) {
	m.dispatched.WithLabelValues("confirmed").Add(float64(confirmed))
	m.dispatched.WithLabelValues("unroutable").Add(float64(unroutable))
	m.outboxDelay.Observe(oldest.Seconds())
}

// Held implements RelayObserver.
func (m *Metrics) Held(events int) {
	m.held.Add(float64(events))
}
