package tracing

import (
	"context"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// request is the context of a request that is recorded, and all that its span needs.
type request struct {
	context.Context // that of the caller, or of the connection

	observer *Observer
	decision *decision // nil: a tracer provider of somebody else decides
	method   *method
	kind     trace.SpanKind
	begun    time.Time
	conn     *stream.Conn
	label    string
	packet   stream.Packet // without payload; no tag in calls
	size     int           // of the payload

	mu    sync.Mutex
	span  trace.Span // nil: nobody has asked for it
	ended bool
	end   ending // set before ended
}

// ending is what is known when a request has ended.
type ending struct {
	tag              uint64
	outcome          stream.Outcome
	rejection        stream.RejectReason
	err              error
	size             int // of the response's payload
	at               time.Time
	duration, waited time.Duration
}

type requestKey struct{}

// unrecorded stands for all requests that are not recorded.
var unrecorded = new(request)

// Value finds the request itself, and its span.
func (r *request) Value(key any) any {
	switch key {
	case requestKey{}:
		return r
	case spanKey:
		return r.openSpan()
	}
	return r.Context.Value(key)
}

// requestOf returns the request of an event if it has a span. The context of a
// request without one may descend from that of another request, in whose
// handler it was made.
func requestOf(ctx context.Context, e *stream.Event) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	if r == nil || r == unrecorded || r.conn != e.Conn || r.packet.Channel != e.Packet.Channel {
		return nil
	}
	if e.Kind == stream.EventCallDone && r.kind == trace.SpanKindClient ||
		e.Kind == stream.EventRequestDone && r.kind == trace.SpanKindServer && r.packet.Tag == e.Packet.Tag {
		return r
	}
	return nil
}

// openSpan returns the span for somebody who adds to it, or begins others below it.
// Once the request has ended it can be a parent still, but takes nothing any more.
func (r *request) openSpan() trace.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.span == nil {
		if r.ended {
			return trace.SpanFromContext(trace.ContextWithSpanContext(context.Background(), r.spanContext()))
		}
		r.span = r.start()
	}
	return r.span
}

// spanContext is that of the span, whether or not it is made yet.
func (r *request) spanContext() trace.SpanContext {
	d := r.decision
	if d == nil {
		return r.span.SpanContext()
	}
	flags := trace.TraceFlags(0).WithSampled(d.result.Decision == sdktrace.RecordAndSample)
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: d.traceID, SpanID: d.spanID, TraceFlags: flags, TraceState: d.result.Tracestate,
	})
}

// start makes the span.
func (r *request) start() trace.Span {
	ctx := r.Context
	options := []trace.SpanStartOption{
		trace.WithSpanKind(r.kind), trace.WithTimestamp(r.begun), trace.WithAttributes(r.method.attrs...),
	}
	if d := r.decision; d != nil {
		ctx = context.WithValue(ctx, decisionKey{}, d)
		if d.root { // by now the connection's context has something for handlers
			options = append(options, trace.WithNewRoot())
		}
	}
	_, span := r.observer.tracer.Start(ctx, r.method.name, options...)
	if span.IsRecording() {
		span.SetAttributes(r.attributes()...)
	}
	return span
}

func (r *request) attributes() []attribute.KeyValue {
	p := &r.packet
	attrs := []attribute.KeyValue{
		keyConn.String(clean(r.conn.Name())), number(keyChannel, p.Channel), number(keyType, p.Type),
		keyRequestSize.Int(r.size),
	}
	if p.Flags != 0 {
		attrs = append(attrs, number(keyFlags, p.Flags))
	}
	if r.label != "" {
		attrs = append(attrs, keyLabel.String(clean(r.label)))
	}
	if r.method == r.observer.other {
		attrs = append(attrs, keyMethodOriginal.String(strconv.FormatUint(p.Type, 10)))
	}
	if r.kind == trace.SpanKindServer { // calls have no tag yet
		attrs = append(attrs, number(keyTag, p.Tag))
	}
	if r.observer.attributes != nil {
		attrs = append(attrs, r.observer.attributes(r.conn)...)
	}
	return attrs
}

// finish notes how the request has ended. A span that nobody has asked for is made
// later, by somebody who has time.
func (r *request) finish(e *stream.Event) {
	r.mu.Lock()
	r.ended = true
	r.end = ending{
		tag: e.Packet.Tag, outcome: e.Outcome, rejection: e.Rejection, err: e.Err, size: e.Size,
		at: e.Time, duration: e.Duration, waited: e.Waited,
	}
	made := r.span != nil
	r.mu.Unlock()
	if made {
		r.endSpan(r.span)
	} else {
		r.observer.provider.ended.add(r)
	}
}

// endSpan ends the span with what is known at the end.
func (r *request) endSpan(span trace.Span) {
	end := &r.end
	attrs := []attribute.KeyValue{keyOutcome.String(end.outcome.String())}
	if end.tag != 0 && r.kind == trace.SpanKindClient {
		attrs = append(attrs, number(keyTag, end.tag))
	}
	if end.outcome == stream.OutcomeOK {
		attrs = append(attrs, keyResponseSize.Int(end.size))
	} else {
		attrs = append(attrs, keyErrorType.String(end.errorType()))
		if r.kind == trace.SpanKindClient || end.ownFault() {
			span.SetStatus(codes.Error, end.description())
		}
	}
	span.SetAttributes(attrs...)
	r.stage(span)
	span.End(trace.WithTimestamp(end.at))
}

// stage notes when the request got on: where it waited until then, if it did.
func (r *request) stage(span trace.Span) {
	end := &r.end
	at := trace.WithTimestamp(end.at.Add(end.waited - end.duration))
	waited := keyWaited.Float64(end.waited.Seconds())
	switch {
	case end.outcome == stream.OutcomeRefused: // it never got so far
	case r.kind == trace.SpanKindClient:
		span.AddEvent(eventQueued, at, trace.WithAttributes(number(keyTag, end.tag), waited))
	default:
		span.AddEvent(eventStarted, at, trace.WithAttributes(waited))
	}
}

// errorType is the low-cardinality name of a failure.
func (e *ending) errorType() string {
	if e.rejection != stream.RejectNone {
		return e.rejection.String()
	}
	return e.outcome.String()
}

// ownFault tells failures of the serving side from those that the peer has
// caused, which leave the status of a server's span unset.
func (e *ending) ownFault() bool {
	switch e.rejection {
	case stream.RejectHandler, stream.RejectPanic, stream.RejectResult, stream.RejectBusy:
		return true
	}
	return false
}

func (e *ending) description() string {
	if e.err == nil {
		return e.errorType()
	}
	return clean(e.err.Error())
}
