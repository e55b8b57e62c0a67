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

// request is the context of a request that is recorded, and all that its span needs; and
// the span itself, as exporters see it, of one that has ended without anybody asking for
// its span (record.go). It is four lines of the caches: where one in a hundred is recorded,
// what that costs is above all memory that is in no cache.
type request struct {
	context.Context       // that of the caller, or of the connection
	sdktrace.ReadOnlySpan // nil: it is there for the method that others cannot write

	// What does not change.
	observer *Observer
	conn     *stream.ConnInfo
	further  *[]attribute.KeyValue // nil: none
	decided  decision              // not if a tracer provider of somebody else decides
	role     stream.Role           // of this side

	ended      bool // this and what follows is guarded by mu, until ended
	outcome    stream.Outcome
	rejection  stream.RejectReason
	mu         sync.Mutex
	note       *note      // nil: there is nothing to say
	span       trace.Span // nil: nobody has asked for it
	stream.End            // until ended it has what is known when the request begins: no tag of a call
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

// note is what few requests have at their end.
type note struct {
	text    string // of the error; made at once, since it is not ours
	because string // why the span was made after the end; empty: it was sampled
}

func noteOf(err error, because string) *note {
	switch {
	case err != nil:
		return &note{clean(err.Error()), because}
	case because != "":
		return &note{because: because}
	}
	return nil
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
	if r == nil || r == unrecorded || r.conn != e.Conn.Info() {
		return nil
	}
	if e.Kind == stream.EventCallDone && r.role == stream.RoleClient ||
		e.Kind == stream.EventRequestDone && r.role == stream.RoleServer && r.Tag == e.Packet.Tag && r.Channel == e.Packet.Channel {
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
	if r.foreign() {
		return r.span.SpanContext()
	}
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: r.decided.traceID, SpanID: r.decided.spanID,
		TraceFlags: trace.TraceFlags(0).WithSampled(r.sampled()), TraceState: r.decided.result().Tracestate,
	})
}

// sampled says that the request is exported, not only recorded.
func (r *request) sampled() bool { return r.decided.result().Decision == sdktrace.RecordAndSample }

// foreign says that a tracer provider of somebody else has decided, and made the span.
func (r *request) foreign() bool { return r.observer.provider == nil }

func (r *request) method() *method { return r.observer.method(r.Channel, r.Type) }

// caller is the span of a caller who is not trusted; invalid if there is none.
func (r *request) caller() trace.SpanContext {
	if r.role == stream.RoleServer && r.observer.distrust {
		if m := stream.MetadataFromContext(r.Context); m != nil {
			return parseTrace(m.Trace, m.State)
		}
	}
	return trace.SpanContext{}
}

func kindOf(role stream.Role) trace.SpanKind {
	if role == stream.RoleServer {
		return trace.SpanKindServer
	}
	return trace.SpanKindClient
}

// start makes the span.
func (r *request) start() trace.Span {
	ctx := r.Context
	options := []trace.SpanStartOption{
		trace.WithSpanKind(kindOf(r.role)), trace.WithTimestamp(r.Begun()), trace.WithAttributes(r.method().attrs...),
	}
	if !r.foreign() {
		ctx = context.WithValue(ctx, decisionKey{}, &r.decided)
		if r.decided.root { // by now the connection's context has something for handlers
			options = append(options, trace.WithNewRoot())
		}
	}
	if link := r.caller(); link.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: link}))
	}
	_, span := r.observer.tracer.Start(ctx, r.method().name, options...)
	if span.IsRecording() {
		span.SetAttributes(r.attributes(nil)...)
	}
	return span
}

// attributes appends what is known at the beginning, beside the method's.
func (r *request) attributes(attrs []attribute.KeyValue) []attribute.KeyValue {
	attrs = append(attrs,
		keyConn.String(clean(r.conn.Name)), number(keyChannel, r.Channel), number(keyType, r.Type),
		keyRequestSize.Int(r.RequestSize),
	)
	if r.Flags != 0 {
		attrs = append(attrs, number(keyFlags, r.Flags))
	}
	if r.Label != "" {
		attrs = append(attrs, keyLabel.String(clean(r.Label)))
	}
	if r.method() == r.observer.other {
		attrs = append(attrs, keyMethodOriginal.String(strconv.FormatUint(r.Type, 10)))
	}
	if r.role == stream.RoleServer { // calls have no tag yet
		attrs = append(attrs, number(keyTag, r.Tag))
	}
	if r.further != nil {
		attrs = append(attrs, *r.further...)
	}
	return attrs
}

// finish notes how the request has ended, and hands its span on.
func (r *request) finish(e *stream.Event) {
	r.mu.Lock()
	r.ended, r.outcome, r.rejection = true, e.Outcome, e.Rejection
	r.End = e.End()
	r.note = noteOf(e.Err, "")
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
		if r.sampled() {
			p.export.queue(r)
		}
		return
	}
	r.endSpan(r.start())
}

// endSpan ends a span of the SDK.
func (r *request) endSpan(span trace.Span) {
	span.SetAttributes(r.endAttributes(nil)...)
	if r.failed() {
		span.SetStatus(codes.Error, r.description())
	}
	for _, stage := range r.stages(nil) {
		span.AddEvent(stage.Name, trace.WithTimestamp(stage.Time), trace.WithAttributes(stage.Attributes...))
	}
	span.End(trace.WithTimestamp(r.endTime()))
}

func (r *request) endTime() time.Time { return r.Begun().Add(r.Duration) }

// endAttributes appends what is known at the end.
func (r *request) endAttributes(attrs []attribute.KeyValue) []attribute.KeyValue {
	attrs = append(attrs, keyOutcome.String(r.outcome.String()))
	if r.note != nil && r.note.because != "" {
		attrs = append(attrs, keyBecause.String(r.note.because))
	}
	if r.Tag != 0 && r.role == stream.RoleClient {
		attrs = append(attrs, number(keyTag, r.Tag))
	}
	if waited, handled, known := r.Remote(); known {
		attrs = append(attrs, keyPeerWaited.Float64(waited.Seconds()), keyPeerHandled.Float64(handled.Seconds()))
	}
	if r.outcome == stream.OutcomeOK {
		return append(attrs, keyResponseSize.Int(r.ResponseSize))
	}
	return append(attrs, keyErrorType.String(r.errorType()))
}

// failed says whether the span's status is an error. Failures that the peer has caused
// leave that of a server's span unset.
func (r *request) failed() bool {
	return r.outcome != stream.OutcomeOK && (r.role == stream.RoleClient || r.ownFault())
}

// stages appends when the request got on, as far as that is known.
func (r *request) stages(list []sdktrace.Event) []sdktrace.Event {
	if r.outcome == stream.OutcomeRefused {
		return list
	}
	begun := r.Begun()
	add := func(name string, after time.Duration, attrs ...attribute.KeyValue) {
		list = append(list, sdktrace.Event{Name: name, Time: begun.Add(after), Attributes: attrs})
	}
	later := func(name string, after time.Duration) {
		if after > 0 {
			add(name, after)
		}
	}
	waited := keyWaited.Float64(r.Waited.Seconds())
	if r.role == stream.RoleClient {
		add(eventQueued, r.Waited, number(keyTag, r.Tag), waited)
		later(eventWritten, r.Sent())
		later(eventReceived, r.Answered)
		return list
	}
	if r.rejection == stream.RejectNone || r.rejection > stream.RejectBusy {
		add(eventStarted, r.Waited, waited)
		later(eventHandled, r.Answered)
	}
	later(eventAnswerWritten, r.Sent())
	return list
}

// errorType is the low-cardinality name of a failure.
func (r *request) errorType() string {
	if r.rejection != stream.RejectNone {
		return r.rejection.String()
	}
	return r.outcome.String()
}

// ownFault tells failures of the serving side from those that the peer has caused.
func (r *request) ownFault() bool {
	switch r.rejection {
	case stream.RejectHandler, stream.RejectPanic, stream.RejectResult, stream.RejectBusy:
		return true
	}
	return false
}

func (r *request) description() string {
	if r.note == nil || r.note.text == "" {
		return r.errorType()
	}
	return r.note.text
}
