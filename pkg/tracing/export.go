package tracing

import (
	"context"
	"strconv"
	"sync/atomic"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// SpanStats says what has become of the spans of a [Provider] that were to be
// exported. Those that are in none of the counters still wait, are under way, or
// were left over when Shutdown ran out of time.
type SpanStats struct {
	Exported     uint64 // taken by the exporter
	QueueFull    uint64 // lost: more waited than OTEL_BSP_MAX_QUEUE_SIZE
	ExportFailed uint64 // lost: the exporter gave up, after its own retries
}

// export is a batch processor that counts. The one of the SDK drops spans without
// telling when its queue is full. So this one keeps count of those that wait, and
// stops them before that queue can be full.
type export struct {
	sdktrace.SpanProcessor // the SDK's batch processor

	gather  gather
	limit   int64
	waiting atomic.Int64 // handed to the processor, not yet out of the exporter

	exported, queueFull, failed atomic.Uint64
}

// queueSpare is room in the SDK's queue above the limit, for the marks that a
// flush puts there.
const queueSpare = 16

func newExport(to sdktrace.SpanExporter) *export {
	e := &export{limit: maxQueue()}
	e.SpanProcessor = sdktrace.NewBatchSpanProcessor(countedExporter{to, e},
		sdktrace.WithMaxQueueSize(int(e.limit)+queueSpare),
		sdktrace.WithMaxExportBatchSize(maxBatch(e.limit)))
	e.gather.to, e.gather.most = e.SpanProcessor.OnEnd, maxBatch(e.limit)
	return e
}

// maxQueue and maxBatch read what the SDK would. It panics on numbers below 0; here
// they are ignored like all else that is no size.
func maxQueue() int64 { return size("OTEL_BSP_MAX_QUEUE_SIZE", sdktrace.DefaultMaxQueueSize) }

func maxBatch(queue int64) int {
	return int(min(queue, size("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", sdktrace.DefaultMaxExportBatchSize)))
}

func size(variable string, otherwise int64) int64 {
	if n, err := strconv.ParseInt(environ(variable), 10, 32); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// OnEnd queues the span, or drops and counts it. It does not block.
func (e *export) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() { // else the batch processor would leave it out
		e.queue(s)
	}
}

// queue is OnEnd of a span that is sampled.
func (e *export) queue(s sdktrace.ReadOnlySpan) {
	if e.waiting.Add(1) > e.limit {
		e.waiting.Add(-1)
		e.queueFull.Add(1)
		return
	}
	e.gather.add(s)
}

// ForceFlush exports what has ended so far.
func (e *export) ForceFlush(ctx context.Context) error {
	e.gather.handOn()
	return e.SpanProcessor.ForceFlush(ctx)
}

// Shutdown exports what has ended, and nothing any more.
func (e *export) Shutdown(ctx context.Context) error {
	e.gather.close()
	return e.SpanProcessor.Shutdown(ctx)
}

func (e *export) stats() SpanStats {
	return SpanStats{Exported: e.exported.Load(), QueueFull: e.queueFull.Load(), ExportFailed: e.failed.Load()}
}

// countedExporter counts what leaves.
type countedExporter struct {
	sdktrace.SpanExporter
	e *export
}

func (c countedExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := c.SpanExporter.ExportSpans(ctx, spans)
	n := len(spans)
	if err != nil {
		c.e.failed.Add(uint64(n))
	} else {
		c.e.exported.Add(uint64(n))
	}
	c.e.waiting.Add(-int64(n))
	return err
}
