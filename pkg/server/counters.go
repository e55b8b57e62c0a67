package server

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// counters are the metrics of serving; those of connections and requests are
// pkg/metrics'.
type counters struct {
	refused      *prometheus.CounterVec
	acceptErrors prometheus.Counter
	handshakes   *prometheus.CounterVec
}

func newCounters(r *prometheus.Registry, h *health, cfg frozen, conns *connections, memory *stream.Budget) (*counters, error) {
	c := &counters{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pktsvc_server_connections_refused_total",
			Help: "Connections closed right after they were accepted, by the limit that forbade them.",
		}, []string{"reason"}),
		acceptErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pktsvc_server_accept_errors_total",
			Help: "Failures to accept a connection, such as too many open files.",
		}),
	}
	c.handshakes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pktsvc_tls_handshakes_failed_total",
		Help: "TLS handshakes that failed, by why.",
	}, []string{"reason"})
	for _, why := range handshakeFailures {
		c.handshakes.WithLabelValues(why)
	}
	for _, why := range []refusal{refusedTotal, refusedPeer, refusedFailed} {
		c.refused.WithLabelValues(string(why)) // shown from the start
	}
	limit := gauge("pktsvc_server_connections_limit", "Connections that may be open at a time.",
		func() float64 { return float64(conns.maxOpen) })
	memoryLimit := gauge("pktsvc_server_memory_limit_bytes", "Memory for what peers send; when it is used up, requests are rejected as busy.",
		func() float64 { return float64(memory.Limit()) })
	memoryUsed := gauge("pktsvc_server_memory_used_bytes", "Memory taken by requests in flight, parts of packets and unread answers.",
		func() float64 { return float64(memory.Used()) })
	budget := gauge("pktsvc_server_drain_budget_seconds", "How long a drain takes at most, before it is forced.",
		func() float64 { return cfg.drainBudget().Seconds() })
	began := gauge("pktsvc_server_drain_started_timestamp_seconds", "When the drain began, in seconds since 1970; 0 while there is none.",
		func() float64 {
			if ns := h.drainBegan.Load(); ns > 0 {
				return float64(ns) / float64(time.Second)
			}
			return 0
		})
	var errs []error
	for _, m := range []prometheus.Collector{c.refused, c.acceptErrors, c.handshakes, limit, memoryLimit, memoryUsed, budget, began, stateGauges{h}} {
		errs = append(errs, r.Register(m))
	}
	return c, errors.Join(errs...)
}

func gauge(name, help string, value func() float64) prometheus.GaugeFunc {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
}

var stateDesc = prometheus.NewDesc("pktsvc_server_state",
	"1 for the state that the server is in, else 0: starting, ready, or draining.",
	[]string{"state"}, nil)

// stateGauges shows the state of the server, of which one is in force at a time.
type stateGauges struct{ health *health }

func (stateGauges) Describe(ch chan<- *prometheus.Desc) { ch <- stateDesc }

func (s stateGauges) Collect(ch chan<- prometheus.Metric) {
	now := s.health.state.Load()
	for state, name := range stateNames {
		value := 0.0
		if int32(state) == now {
			value = 1
		}
		ch <- prometheus.MustNewConstMetric(stateDesc, prometheus.GaugeValue, value, name)
	}
}
