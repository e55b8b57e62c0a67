package server

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// counters are the metrics of the server itself; those of connections and
// requests are pkg/metrics'.
type counters struct {
	refused      *prometheus.CounterVec
	acceptErrors prometheus.Counter
}

// newRegistry makes the registry behind /metrics.
func newRegistry() (*prometheus.Registry, error) {
	r := prometheus.NewRegistry()
	return r, errors.Join(
		r.Register(collectors.NewGoCollector()),
		r.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	)
}

func newCounters(r *prometheus.Registry, h *health, limits frozen) (*counters, error) {
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
	for _, why := range []refusal{refusedTotal, refusedPeer, refusedFailed} {
		c.refused.WithLabelValues(string(why)) // shown from the start
	}
	build := ReadBuild()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "pktsvc_build_info",
		Help:        "Always 1; its labels say which build runs.",
		ConstLabels: prometheus.Labels{"version": build.Version, "revision": build.Revision, "goversion": build.Go},
	})
	info.Set(1)
	ready := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pktsvc_server_ready",
		Help: "1 while the server is ready for new work, else 0.",
	}, func() float64 {
		if h.state.Load() == stateReady {
			return 1
		}
		return 0
	})
	limit := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pktsvc_server_connections_limit",
		Help: "Connections that may be open at a time.",
	})
	limit.Set(float64(limits.Limits.Connections))
	var errs []error
	for _, m := range []prometheus.Collector{c.refused, c.acceptErrors, info, ready, limit} {
		errs = append(errs, r.Register(m))
	}
	return c, errors.Join(errs...)
}
