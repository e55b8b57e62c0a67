package instrument

import (
	"context"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// The operations of a backend and of its archives.
const (
	opPut = iota
	opReplace
	opGet
	opHas
	opCodes
	opLength
	opSync
	opAppend
	opLast
	opEntries
	numOperations
)

var operationNames = [numOperations]string{"put", "replace", "get", "has", "codes", "length", "sync", "append", "last", "entries"}

// The kinds of failures. That something is not there is none.
const (
	kindNone     = iota
	kindFull     // no room
	kindCorrupt  // the backend itself noticed
	kindCanceled // nobody waits for the request any more
	kindFailed   // all else
	numKinds
)

var kindNames = [numKinds]string{kindFull: "full", kindCorrupt: "corrupt", kindCanceled: "canceled", kindFailed: "failed"}

// kindOf says how an operation has failed for a request with this context.
func kindOf(ctx context.Context, err error) int {
	switch {
	case err == nil, errors.Is(err, store.ErrMissing):
		return kindNone
	case errors.Is(err, store.ErrFull):
		return kindFull
	case errors.Is(err, store.ErrCorrupt):
		return kindCorrupt
	case ctx.Err() != nil:
		return kindCanceled
	}
	return kindFailed
}

// The results of operations that did not fail. Of those that did it is the kind.
const (
	resultOK   = "ok"
	putNew     = "new"
	putPresent = "present"
	found      = "found"
	missing    = "missing"
)

// The results of gets, as they are counted.
const (
	getFound = iota
	getMissing
	getCorrupt
	getError
	numGets
)

var getResults = [numGets]string{found, missing, "corrupt", "error"}

// operation is what is counted of one.
type operation struct {
	span     string
	duration prometheus.Observer
	exemplar prometheus.ExemplarObserver // the same: every histogram is one
	errors   [numKinds]prometheus.Counter
}

func (i *Instrument) initOperations() []prometheus.Collector {
	durations := histograms("pktsvc_store_operation_duration_seconds",
		"Time that operations of the backend took. Those of codes and entries include what was done with each one meanwhile.",
		durationBuckets, "operation")
	failures := counters("pktsvc_store_operation_errors_total",
		"Operations of the backend that failed: full (no room), corrupt (as the backend itself noticed), canceled (nobody waited any more) or failed. That something is missing is no error.",
		"operation", "kind")
	for n, name := range operationNames {
		o := &i.operations[n]
		o.span, o.duration = "store."+name, durations.WithLabelValues(name)
		o.exemplar, _ = o.duration.(prometheus.ExemplarObserver)
		for kind := kindNone + 1; kind < numKinds; kind++ {
			o.errors[kind] = failures.WithLabelValues(name, kindNames[kind])
		}
	}
	return []prometheus.Collector{durations, failures}
}

// call is an operation that is under way.
type call struct {
	ctx     context.Context // for the backend: with the span, if there is one
	of      *operation
	begun   time.Time
	traceID string
	span    trace.Span // nil: the request is not recorded
}

func (i *Instrument) begin(ctx context.Context, op int) call {
	c := call{ctx: ctx, of: &i.operations[op], begun: time.Now()}
	if traceID, sampled := i.traceID(ctx); sampled {
		c.traceID = traceID
		c.ctx, c.span = i.tracer.Start(ctx, c.of.span, trace.WithTimestamp(c.begun))
	}
	return c
}

// end counts the call and ends its span; result is what came of it if err is nil.
func (c *call) end(err error, result string) (kind int) {
	took := time.Since(c.begun)
	if kind = kindOf(c.ctx, err); kind != kindNone {
		c.of.errors[kind].Inc()
	} else if err != nil {
		result = missing
	}
	if c.span == nil {
		c.of.duration.Observe(took.Seconds())
		return kind
	}
	c.observeTraced(took)
	c.endSpan(err, kind, result, c.begun.Add(took))
	return kind
}

const exemplarLabel = "trace_id"

// observeTraced keeps the trace as an exemplar, unless client_golang would panic over it.
func (c *call) observeTraced(took time.Duration) {
	if len(c.traceID)+len(exemplarLabel) <= prometheus.ExemplarMaxRunes && utf8.ValidString(c.traceID) {
		c.of.exemplar.ObserveWithExemplar(took.Seconds(), prometheus.Labels{exemplarLabel: c.traceID})
		return
	}
	c.of.duration.Observe(took.Seconds())
}
