package instrument

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// Options configure an [Instrument]. The zero value works.
type Options struct {
	// Provider makes the spans. Default: [otel.GetTracerProvider].
	Provider trace.TracerProvider

	// TraceID returns the trace of a request by its context, and whether that is
	// sampled; only then an operation has a span, and its duration carries an exemplar
	// with the label trace_id. It is called for every operation and must not block.
	// Default: as OpenTelemetry has it. That of package tracing costs less.
	TraceID func(context.Context) (traceID string, sampled bool)
}

// Instrument observes one store. Its methods may be called concurrently, and do not
// block.
type Instrument struct {
	tracer  trace.Tracer
	traceID func(context.Context) (string, bool)

	operations [numOperations]operation
	puts       [2]amount // by whether the block was there already
	gets       [numGets]prometheus.Counter
	got        prometheus.Counter // bytes
	corrupt    prometheus.Counter
	mended     prometheus.Counter
	group      prometheus.Histogram
	levels     levels

	collected []prometheus.Collector // what all of the above are children of
}

// amount is how many blocks, and how many bytes they have.
type amount struct{ blocks, bytes prometheus.Counter }

func (a amount) add(bytes int) {
	a.blocks.Inc()
	a.bytes.Add(float64(bytes))
}

var _ prometheus.Collector = (*Instrument)(nil)

// New makes an instrument and registers it with reg. With a nil reg it is not
// registered, which is left to the caller. It fails if reg has these metrics already,
// as of another store.
func New(reg prometheus.Registerer, o Options) (*Instrument, error) {
	if o.Provider == nil {
		o.Provider = otel.GetTracerProvider()
	}
	if o.TraceID == nil {
		o.TraceID = traceOf
	}
	i := &Instrument{tracer: o.Provider.Tracer(scopeName, trace.WithSchemaURL(schemaURL)), traceID: o.TraceID}
	i.collected = append(i.collected, i.initOperations()...)

	puts := counters("pktsvc_store_puts_total",
		"Blocks that the backend was given and has: new, or present already.", "result")
	putBytes := counters("pktsvc_store_put_bytes_total",
		"Bytes of the blocks that the backend was given and has: new, or present already. All in proportion to the new ones is the ratio of deduplication.", "result")
	for n, result := range []string{putNew, putPresent} {
		i.puts[n] = amount{puts.WithLabelValues(result), putBytes.WithLabelValues(result)}
	}
	gets := counters("pktsvc_store_gets_total",
		"Blocks that the backend was asked for: found, missing, corrupt as the backend itself noticed, or an error.", "result")
	for n, result := range getResults {
		i.gets[n] = gets.WithLabelValues(result)
	}
	i.got = counter("pktsvc_store_get_bytes_total", "Bytes of the blocks that the backend found.")
	i.corrupt = counter("pktsvc_store_corrupt_blocks_total",
		"Times that a block was found to have another hash than it should, by the service or by the backend. It was not given out.")
	i.mended = counter("pktsvc_store_mended_blocks_total",
		"Corrupt blocks that somebody added again, and that took their place.")
	i.group = histogram("pktsvc_store_sync_requests",
		"Requests that waited for the same sync of the backend.", prometheus.ExponentialBuckets(1, 2, 11))
	i.collected = append(i.collected, puts, putBytes, gets, i.got, i.corrupt, i.mended, i.group)

	if reg != nil {
		if err := reg.Register(i); err != nil {
			return nil, fmt.Errorf("store metrics: register: %w", err)
		}
	}
	return i, nil
}

// Options returns the options of a service with call-backs that count, and then call
// those of o.
func (i *Instrument) Options(o store.Options) store.Options {
	synced, corrupt, mended := o.Synced, o.Corrupt, o.Mended
	o.Synced = func(requests int, err error) {
		i.group.Observe(float64(requests))
		if synced != nil {
			synced(requests, err)
		}
	}
	o.Corrupt = func(code store.Code) {
		i.corrupt.Inc()
		if corrupt != nil {
			corrupt(code)
		}
	}
	o.Mended = func(code store.Code) {
		i.mended.Inc()
		if mended != nil {
			mended(code)
		}
	}
	return o
}

// Describe sends the descriptions of all metrics.
func (i *Instrument) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range i.collected {
		c.Describe(ch)
	}
	i.levels.describe(ch)
}

// Collect sends all metrics. It asks the backend for its usage, its cache and its disk.
func (i *Instrument) Collect(ch chan<- prometheus.Metric) {
	for _, c := range i.collected {
		c.Collect(ch)
	}
	i.levels.collect(ch)
}
