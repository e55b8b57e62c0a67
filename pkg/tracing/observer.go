package tracing

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
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

// Begin decides whether a request is recorded. The context that it returns then leads
// to its span, which is made when somebody asks for it; and e is followed. For a request of a peer that is not recorded, handlers find
// the decision, so that their spans are not recorded either.
func (t *Observer) Begin(ctx context.Context, e *stream.Event) context.Context {
	kind := trace.SpanKindClient
	if e.Kind == stream.EventRequestBegin {
		kind = trace.SpanKindServer
	}
	m := t.method(e.Packet.Type)
	var d *decision
	if t.provider != nil {
		if d = t.provider.decide(ctx, m, kind, e); d == nil {
			return ctx // where the handler finds that decision by Value
		}
	} else if parent := trace.SpanContextFromContext(ctx); parent.IsValid() && !parent.IsSampled() {
		return ctx
	}
	r := &request{
		Context: ctx, observer: t, decision: d, method: m, kind: kind, begun: e.Time,
		conn: e.Conn, label: e.Label, packet: e.Packet, size: len(e.Packet.Payload),
	}
	r.packet.Payload = nil
	if t.attributes != nil {
		r.further = t.attributes(e.Conn)
	}
	if t.provider == nil { // only the tracer knows what is recorded, and asks when the span begins
		if r.span = r.start(); !r.span.IsRecording() {
			return trace.ContextWithSpan(ctx, r.span)
		}
	}
	e.Followed = true
	return r
}

func (t *Observer) method(typ uint64) *method {
	if m := t.types[typ]; m != nil {
		return m
	}
	return t.other
}

// Observe ends the span of a request.
func (t *Observer) Observe(ctx context.Context, e *stream.Event) {
	if !e.Followed {
		return
	}
	if r := requestOf(ctx, e); r != nil {
		r.finish(e)
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
