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
	decided  decision  // what it points to
	record   record    // the same request, for exporters
	method   *method
	kind     trace.SpanKind
	begun    time.Time
	conn     *stream.ConnInfo
	label    string
	channel  uint64
	tag      uint64 // not of calls
	typ      uint64
	flags    uint64
	size     int // of the payload
	further  []attribute.KeyValue
	link     *trace.SpanContext // of a caller that is not trusted; else nil

	mu    sync.Mutex
	span  trace.Span // nil: nobody has asked for it
	ended bool
	end   ending // set before ended
}

// requestsAtOnce is how many requests are made at a time: one by one they would cost
// twice as much to begin. Whoever keeps the context of one keeps those beside it in memory.
const requestsAtOnce = 8

var requests = sync.Pool{New: func() any { return new([]request) }}

// emptyRequest returns one that nobody has used.
func emptyRequest() *request {
	rest := requests.Get().(*[]request)
	if len(*rest) == 0 {
		*rest = make([]request, requestsAtOnce)
	}
	r := &(*rest)[0]
	*rest = (*rest)[1:]
	requests.Put(rest)
	return r
}

// ending is what is known when a request has ended.
type ending struct {
	stream.End
	outcome   stream.Outcome
	rejection stream.RejectReason
	text      string // of the error; made at once, since it is not ours
	at        time.Time
	because   string // why the span was made after the end; empty: it was sampled
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
	if r == nil || r == unrecorded || r.conn != e.Conn.Info() || r.channel != e.Packet.Channel {
		return nil
	}
	if e.Kind == stream.EventCallDone && r.kind == trace.SpanKindClient ||
		e.Kind == stream.EventRequestDone && r.kind == trace.SpanKindServer && r.tag == e.Packet.Tag {
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
	if r.link != nil {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: *r.link}))
	}
	_, span := r.observer.tracer.Start(ctx, r.method.name, options...)
	if span.IsRecording() {
		span.SetAttributes(r.attributes(nil)...)
	}
	return span
}

// attributes appends what is known at the beginning, beside the method's.
func (r *request) attributes(attrs []attribute.KeyValue) []attribute.KeyValue {
	attrs = append(attrs,
		keyConn.String(clean(r.conn.Name)), number(keyChannel, r.channel), number(keyType, r.typ),
		keyRequestSize.Int(r.size),
	)
	if r.flags != 0 {
		attrs = append(attrs, number(keyFlags, r.flags))
	}
	if r.label != "" {
		attrs = append(attrs, keyLabel.String(clean(r.label)))
	}
	if r.method == r.observer.other {
		attrs = append(attrs, keyMethodOriginal.String(strconv.FormatUint(r.typ, 10)))
	}
	if r.kind == trace.SpanKindServer { // calls have no tag yet
		attrs = append(attrs, number(keyTag, r.tag))
	}
	return append(attrs, r.further...)
}

// finish notes how the request has ended, and hands its span on.
func (r *request) finish(e *stream.Event) {
	r.mu.Lock()
	r.ended = true
	r.end = ending{End: e.End(), outcome: e.Outcome, rejection: e.Rejection, at: e.Time}
	if e.Err != nil {
		r.end.text = clean(e.Err.Error())
	}
	span := r.span
	r.mu.Unlock()
	if span == nil {
		r.finishUnasked()
		return
	}
	r.endSpan(span)
}

// finishUnasked hands on the span of a request for whose span nobody has asked.
func (r *request) finishUnasked() {
	if p := r.observer.provider; p.records {
		r.record.request = r
		p.export.OnEnd(&r.record)
		return
	}
	r.endSpan(r.start())
}

// endSpan ends a span of the SDK.
func (r *request) endSpan(span trace.Span) {
	span.SetAttributes(r.endAttributes(nil)...)
	if r.failed() {
		span.SetStatus(codes.Error, r.end.description())
	}
	for _, stage := range r.stages(nil) {
		span.AddEvent(stage.Name, trace.WithTimestamp(stage.Time), trace.WithAttributes(stage.Attributes...))
	}
	span.End(trace.WithTimestamp(r.end.at))
}

// endAttributes appends what is known at the end.
func (r *request) endAttributes(attrs []attribute.KeyValue) []attribute.KeyValue {
	end := &r.end
	attrs = append(attrs, keyOutcome.String(end.outcome.String()))
	if end.because != "" {
		attrs = append(attrs, keyBecause.String(end.because))
	}
	if end.Tag != 0 && r.kind == trace.SpanKindClient {
		attrs = append(attrs, number(keyTag, end.Tag))
	}
	if waited, handled, known := end.Remote(); known {
		attrs = append(attrs, keyPeerWaited.Float64(waited.Seconds()), keyPeerHandled.Float64(handled.Seconds()))
	}
	if end.outcome == stream.OutcomeOK {
		return append(attrs, keyResponseSize.Int(end.ResponseSize))
	}
	return append(attrs, keyErrorType.String(end.errorType()))
}

// failed says whether the span's status is an error. Failures that the peer has caused
// leave that of a server's span unset.
func (r *request) failed() bool {
	return r.end.outcome != stream.OutcomeOK && (r.kind == trace.SpanKindClient || r.end.ownFault())
}

// stages appends when the request got on, as far as that is known.
func (r *request) stages(list []sdktrace.Event) []sdktrace.Event {
	end := &r.end
	if end.outcome == stream.OutcomeRefused {
		return list
	}
	begun := end.at.Add(-end.Duration)
	add := func(name string, after time.Duration, attrs ...attribute.KeyValue) {
		list = append(list, sdktrace.Event{Name: name, Time: begun.Add(after), Attributes: attrs})
	}
	later := func(name string, after time.Duration) {
		if after > 0 {
			add(name, after)
		}
	}
	waited := keyWaited.Float64(end.Waited.Seconds())
	if r.kind == trace.SpanKindClient {
		add(eventQueued, end.Waited, number(keyTag, end.Tag), waited)
		later(eventWritten, end.Sent())
		later(eventReceived, end.Answered)
		return list
	}
	if end.rejection == stream.RejectNone || end.rejection > stream.RejectBusy {
		add(eventStarted, end.Waited, waited)
		later(eventHandled, end.Answered)
	}
	later(eventAnswerWritten, end.Sent())
	return list
}

// errorType is the low-cardinality name of a failure.
func (e *ending) errorType() string {
	if e.rejection != stream.RejectNone {
		return e.rejection.String()
	}
	return e.outcome.String()
}

// ownFault tells failures of the serving side from those that the peer has caused.
func (e *ending) ownFault() bool {
	switch e.rejection {
	case stream.RejectHandler, stream.RejectPanic, stream.RejectResult, stream.RejectBusy:
		return true
	}
	return false
}

func (e *ending) description() string {
	if e.text == "" {
		return e.errorType()
	}
	return e.text
}
