package tracing

import (
	"context"
	"strconv"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Options configure an [Observer]. The zero value works.
type Options struct {
	// Provider makes the spans. Default: [otel.GetTracerProvider]. With a
	// [*Provider], unsampled requests cost the least.
	Provider trace.TracerProvider

	// Types are the names of request types, such as [stream.Mux.Names] returns.
	// Other types are called _OTHER. They are read once.
	Types map[uint64]string

	// Attributes returns further attributes for the spans of a connection, such
	// as [AddressAttributes]. It is called for sampled requests only, and must
	// not block.
	Attributes func(*stream.Conn) []attribute.KeyValue
}

// Observer makes spans. One observer serves any number of connections. Its
// methods may be called concurrently.
type Observer struct {
	events     stream.EventSet
	tracer     trace.Tracer
	provider   *Provider // nil: a tracer provider of somebody else
	types      map[uint64]*method
	other      *method
	attributes func(*stream.Conn) []attribute.KeyValue
}

// method is what is known of a request type beforehand.
type method struct {
	name  string
	attrs []attribute.KeyValue // never changed
}

func newMethod(name string) *method {
	name = clean(name)
	return &method{name, []attribute.KeyValue{keySystem.String(systemName), keyMethod.String(name)}}
}

// New makes an observer.
func New(o Options) *Observer {
	if o.Provider == nil {
		o.Provider = otel.GetTracerProvider()
	}
	t := &Observer{
		events: stream.Events(
			stream.EventRequestBegin, stream.EventRequestDone, stream.EventCallBegin, stream.EventCallDone,
		),
		tracer:     o.Provider.Tracer(scopeName, trace.WithSchemaURL(schemaURL)),
		types:      make(map[uint64]*method, len(o.Types)),
		other:      newMethod(otherName),
		attributes: o.Attributes,
	}
	t.provider, _ = o.Provider.(*Provider)
	if t.provider != nil && !t.provider.Enabled() {
		t.events = 0
	}
	for typ, name := range o.Types {
		t.types[typ] = newMethod(name)
	}
	return t
}

// Events are the stages of requests; none if the provider is not enabled.
func (t *Observer) Events() stream.EventSet { return t.events }

// Begin starts the span of a request that is to be recorded. The context that it
// returns carries it; for a request of a peer that is not recorded, it carries
// the decision, so that spans of the handler are not recorded either.
func (t *Observer) Begin(ctx context.Context, e stream.Event) context.Context {
	kind := trace.SpanKindClient
	if e.Kind == stream.EventRequestBegin {
		kind = trace.SpanKindServer
	}
	m := t.method(e.Packet.Type)
	start := ctx
	if t.provider != nil {
		d := t.provider.decide(ctx, m, kind, &e)
		if d.result.Decision == sdktrace.Drop {
			return ctx // where the handler finds that decision by Value
		}
		kept := d // so that d itself need not be allocated for requests that are dropped
		start = context.WithValue(ctx, decisionKey{}, &kept)
	} else if parent := trace.SpanContextFromContext(ctx); parent.IsValid() && !parent.IsSampled() {
		return ctx
	}
	_, span := t.tracer.Start(start, m.name,
		trace.WithSpanKind(kind), trace.WithTimestamp(e.Time), trace.WithAttributes(m.attrs...))
	ctx = trace.ContextWithSpan(ctx, span)
	if !span.IsRecording() {
		return ctx
	}
	span.SetAttributes(t.describe(m, &e)...)
	return &request{ctx, span, kind, e.Conn, e.Packet.Channel, e.Packet.Tag}
}

func (t *Observer) method(typ uint64) *method {
	if m := t.types[typ]; m != nil {
		return m
	}
	return t.other
}

func (t *Observer) describe(m *method, e *stream.Event) []attribute.KeyValue {
	p := &e.Packet
	attrs := []attribute.KeyValue{
		keyConn.String(clean(e.Conn.Name())), number(keyChannel, p.Channel), number(keyType, p.Type),
		keyRequestSize.Int(len(p.Payload)),
	}
	if p.Flags != 0 {
		attrs = append(attrs, number(keyFlags, p.Flags))
	}
	if e.Label != "" {
		attrs = append(attrs, keyLabel.String(clean(e.Label)))
	}
	if m == t.other {
		attrs = append(attrs, keyMethodOriginal.String(strconv.FormatUint(p.Type, 10)))
	}
	if e.Kind == stream.EventRequestBegin { // calls have no tag yet
		attrs = append(attrs, number(keyTag, p.Tag))
	}
	if t.attributes != nil {
		attrs = append(attrs, t.attributes(e.Conn)...)
	}
	return attrs
}

// Observe adds to the span of a request, and ends it.
func (t *Observer) Observe(ctx context.Context, e stream.Event) {
	if r := requestOf(ctx, &e); r != nil {
		r.finish(&e)
	}
}

// Value gives the handlers of requests that are not recorded a span that says so, so
// that what they begin is not recorded either ([stream.Valuer]).
func (t *Observer) Value(req stream.Request, key any) any {
	switch {
	case t.provider == nil || t.events == 0:
		return nil
	case key == requestKey{}:
		return unrecorded
	case key == spanKey:
		return &unsampled{traceID: t.provider.traceID(req.Conn, req.Channel, req.Tag)}
	}
	return nil
}

// unrecorded stands for all requests that are not recorded.
var unrecorded = new(request)

// request is the context of a request whose span is recorded.
type request struct {
	context.Context // carries the span for others
	span            trace.Span
	kind            trace.SpanKind
	conn            *stream.Conn
	channel, tag    uint64 // tag: of peers' requests only
}

type requestKey struct{}

// Value finds the request itself.
func (r *request) Value(key any) any {
	if key == (requestKey{}) {
		return r
	}
	return r.Context.Value(key)
}

// requestOf returns the request of an event if it has a span. The context of a
// request without one may descend from that of another request, in whose
// handler it was made.
func requestOf(ctx context.Context, e *stream.Event) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	if r == nil || r == unrecorded || r.conn != e.Conn || r.channel != e.Packet.Channel {
		return nil
	}
	if e.Kind == stream.EventCallDone && r.kind == trace.SpanKindClient ||
		e.Kind == stream.EventRequestDone && r.kind == trace.SpanKindServer && r.tag == e.Packet.Tag {
		return r
	}
	return nil
}

// finish ends the span with what is known at the end.
func (r *request) finish(e *stream.Event) {
	attrs := []attribute.KeyValue{keyOutcome.String(e.Outcome.String())}
	if e.Packet.Tag != 0 && r.kind == trace.SpanKindClient {
		attrs = append(attrs, number(keyTag, e.Packet.Tag))
	}
	if e.Outcome == stream.OutcomeOK {
		attrs = append(attrs, keyResponseSize.Int(e.Size))
	} else {
		attrs = append(attrs, keyErrorType.String(errorType(e)))
		if r.kind == trace.SpanKindClient || ownFault(e) {
			r.span.SetStatus(codes.Error, description(e))
		}
	}
	r.span.SetAttributes(attrs...)
	end := e.Time
	if end.IsZero() {
		end = time.Now()
	}
	r.stage(e, end.Add(e.Waited-e.Duration))
	r.span.End(trace.WithTimestamp(end))
}

// stage notes when the request got on: where it waited until then, if it did.
func (r *request) stage(e *stream.Event, at time.Time) {
	switch {
	case e.Outcome == stream.OutcomeRefused: // it never got so far
	case r.kind == trace.SpanKindClient:
		r.span.AddEvent(eventQueued, trace.WithTimestamp(at), trace.WithAttributes(number(keyTag, e.Packet.Tag), keyWaited.Float64(e.Waited.Seconds())))
	default:
		r.span.AddEvent(eventStarted, trace.WithTimestamp(at), trace.WithAttributes(keyWaited.Float64(e.Waited.Seconds())))
	}
}

// errorType is the low-cardinality name of a failure.
func errorType(e *stream.Event) string {
	if e.Rejection != stream.RejectNone {
		return e.Rejection.String()
	}
	return e.Outcome.String()
}

// ownFault tells failures of the serving side from those that the peer has
// caused, which leave the status of a server's span unset.
func ownFault(e *stream.Event) bool {
	switch e.Rejection {
	case stream.RejectHandler, stream.RejectPanic, stream.RejectResult, stream.RejectBusy:
		return true
	}
	return false
}

func description(e *stream.Event) string {
	if e.Err == nil {
		return errorType(e)
	}
	return clean(e.Err.Error())
}
