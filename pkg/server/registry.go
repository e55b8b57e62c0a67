package server

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/pktsvc/pktsvc/pkg/tracing"
)

// newRegistry makes the registry behind /metrics, with what does not depend on
// serving: the Go runtime, the process and the build.
func newRegistry() (*prometheus.Registry, error) {
	r := prometheus.NewRegistry()
	build := ReadBuild()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "pktsvc_build_info",
		Help:        "Always 1; its labels say which build runs.",
		ConstLabels: prometheus.Labels{"version": build.Version, "revision": build.Revision, "goversion": build.Go},
	})
	info.Set(1)
	return r, errors.Join(
		r.Register(collectors.NewGoCollector(
			// How long goroutines wait for a processor, and how long collections stop them.
			collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsScheduler, collectors.MetricsGC),
		)),
		r.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
		r.Register(info),
	)
}

var spansDesc = prometheus.NewDesc("pktsvc_trace_spans_total",
	"Sampled spans that have ended, by what became of them: exported, or lost since the queue was full or the export failed.",
	[]string{"result"}, nil)

// spanCounters shows what has become of spans.
type spanCounters struct{ provider *tracing.Provider }

func (spanCounters) Describe(ch chan<- *prometheus.Desc) { ch <- spansDesc }

func (c spanCounters) Collect(ch chan<- prometheus.Metric) {
	spans := c.provider.Spans()
	for _, one := range []struct {
		result string
		count  uint64
	}{{"exported", spans.Exported}, {"queue_full", spans.QueueFull}, {"export_failed", spans.ExportFailed}} {
		ch <- prometheus.MustNewConstMetric(spansDesc, prometheus.CounterValue, float64(one.count), one.result)
	}
}
