package tracing

import (
	"context"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Carry sends the span of a sampled call along with it, and baggage ([stream.Carrier]).
func (t *Observer) Carry(ctx context.Context, m *stream.Metadata) {
	if t.events == 0 {
		return
	}
	if s := spanContext(ctx); s.IsSampled() && s.IsValid() {
		m.Trace, m.State = appendTrace(nil, s), s.TraceState().String()
	}
	if b := baggage.FromContext(ctx); b.Len() > 0 {
		m.Baggage = b.String()
	}
}

// The binary form of a span: a version, and three fields, each with its number.
const (
	traceSize = 29
	atTraceID = 2
	atSpanID  = atTraceID + 16 + 1
	atFlags   = atSpanID + 8 + 1
)

func appendTrace(b []byte, s trace.SpanContext) []byte {
	traceID, spanID := s.TraceID(), s.SpanID()
	b = append(append(b, 0, 0), traceID[:]...)
	b = append(append(b, 1), spanID[:]...)
	return append(b, 2, byte(s.TraceFlags()))
}

// parseTrace reads one. What is none gives a span that is not valid.
func parseTrace(b []byte, state string) trace.SpanContext {
	if len(b) != traceSize || b[0] != 0 || b[1] != 0 || b[atSpanID-1] != 1 || b[atFlags-1] != 2 {
		return trace.SpanContext{}
	}
	c := trace.SpanContextConfig{TraceFlags: trace.TraceFlags(b[atFlags]) & trace.FlagsSampled, Remote: true}
	copy(c.TraceID[:], b[atTraceID:])
	copy(c.SpanID[:], b[atSpanID:])
	c.TraceState, _ = trace.ParseTraceState(state) // one that is none is left out
	return trace.NewSpanContext(c)
}

// carried says whether something has travelled with a request that is of use here.
func carried(ctx context.Context) bool {
	m := stream.MetadataFromContext(ctx)
	return m != nil && (len(m.Trace) > 0 || m.Baggage != "")
}

// arrived adds what has travelled with a request to its context: the caller's span as its
// parent, and baggage. Of a peer that is not trusted the span is only linked (request.caller).
func (t *Observer) arrived(ctx context.Context) context.Context {
	m := stream.MetadataFromContext(ctx)
	if m == nil {
		return ctx
	}
	if s := parseTrace(m.Trace, m.State); s.IsValid() && !t.distrust {
		ctx = trace.ContextWithRemoteSpanContext(ctx, s)
	}
	if m.Baggage != "" {
		if b, err := baggage.Parse(m.Baggage); err == nil { // what is none is left out
			ctx = baggage.ContextWithBaggage(ctx, b)
		}
	}
	return ctx
}
