package http

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are the server's own. Labels are names of ours only, so that no client
// can add series.
type metrics struct {
	requests   *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	inProgress prometheus.Gauge
	panics     prometheus.Counter
	auth       *prometheus.CounterVec
	ready      *prometheus.GaugeVec
	handler    http.Handler
}

func newMetrics(registry *prometheus.Registry) (*metrics, error) {
	m := &metrics{handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true})}
	var errs [6]error
	m.requests, errs[0] = registered(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "chat_messaging_http_requests_total", Help: "Requests answered, by route, method and status.",
	}, []string{"route", "method", "status"}))
	m.duration, errs[1] = registered(registry, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "chat_messaging_http_request_duration_seconds", Help: "Time from a request's headers to the end of its answer, by route.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15},
	}, []string{"route"}))
	m.inProgress, errs[2] = registered(registry, prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "chat_messaging_http_requests_in_progress", Help: "Requests being answered.",
	}))
	m.panics, errs[3] = registered(registry, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "chat_messaging_http_panics_total", Help: "Handlers that panicked. Any is a bug.",
	}))
	m.auth, errs[4] = registered(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "chat_messaging_auth_service_requests_total", Help: "Requests to the auth service, by outcome.",
	}, []string{"outcome"}))
	m.ready, errs[5] = registered(registry, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "chat_messaging_ready", Help: "1 while the readiness check passes, by check.",
	}, []string{"check"}))
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) observe(route, method string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, methodLabel(method), strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(route).Observe(took.Seconds())
}

// methodLabel bounds what a client may put into logs and metrics.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return method
	default:
		return "other"
	}
}

func (s *Server) showMetrics(w http.ResponseWriter, r *http.Request) error {
	s.metrics.handler.ServeHTTP(w, r)
	return nil
}
