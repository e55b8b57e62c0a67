package tracing

import (
	"context"

	"go.opentelemetry.io/otel/trace"
)

// TraceID returns the trace that ctx belongs to, in hexadecimal digits, and
// whether it is sampled. Where it is not there is nothing to look up, and the
// trace is empty. It serves exemplars.
func TraceID(ctx context.Context) (traceID string, sampled bool) {
	if ctx.Value(requestKey{}) == unrecorded {
		return "", false // which is known without asking for a span
	}
	if s := spanContext(ctx); s.IsSampled() && s.HasTraceID() {
		return s.TraceID().String(), true
	}
	return "", false
}

// IDs returns the trace and the span that ctx belongs to, in hexadecimal digits,
// if they are sampled. It serves log lines.
func IDs(ctx context.Context) (traceID, spanID string, sampled bool) {
	if s := spanContext(ctx); s.IsSampled() && s.IsValid() {
		return s.TraceID().String(), s.SpanID().String(), true
	}
	return "", "", false
}

// spanContext knows that of a request without its span.
func spanContext(ctx context.Context) trace.SpanContext {
	if r, ok := ctx.(*request); ok {
		return r.spanContext()
	}
	return trace.SpanContextFromContext(ctx)
}
