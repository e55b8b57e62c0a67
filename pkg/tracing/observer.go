package tracing

import (
	"cmp"
	"context"
	"math/rand/v2"

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

	// Channels are the same for channels other than 0 whose types have other names. Types
	// of a channel that is not here are called as Types has them.
	Channels map[uint64]map[uint64]string

	// DistrustPeers makes spans of callers, which have travelled with their requests,
	// links of spans here instead of parents: peers then decide neither what is sampled
	// nor where it belongs.
	DistrustPeers bool

	// Attributes returns further attributes for the spans of a connection, such
	// as [AddressAttributes]. It is called for sampled requests only, and must
	// not block.
	Attributes func(*stream.ConnInfo) []attribute.KeyValue
}

// Observer makes spans. One observer serves any number of connections. Its
// methods may be called concurrently.
type Observer struct {
	// What is needed of a request that is not recorded, side by side.
	asks     bool // the sampler is asked about every request
	keep     uint64
	distrust bool
	seed     [2]uint64 // of the lower halves of new traces of peers

	events     stream.EventSet
	tracer     trace.Tracer
	provider   *Provider   // nil: a tracer provider of somebody else
	low        [64]*method // of the types below, which are the usual ones
	types      map[uint64]*method
	channels   map[uint64]map[uint64]*method // of channels with types of their own
	other      *method
	attributes func(*stream.ConnInfo) []attribute.KeyValue
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
		types:      methods(o.Types),
		channels:   make(map[uint64]map[uint64]*method, len(o.Channels)),
		other:      newMethod(otherName),
		attributes: o.Attributes,
		distrust:   o.DistrustPeers,
	}
	t.provider, _ = o.Provider.(*Provider)
	if p := t.provider; p == nil || p.share == nil {
		t.asks = true
	} else {
		t.keep, t.seed = p.share.below, p.seeds[1]
	}
	if t.provider != nil && !t.provider.Enabled() {
		t.events = 0
	}
	for typ := range t.low {
		t.low[typ] = cmp.Or(t.types[uint64(typ)], t.other)
	}
	for channel, types := range o.Channels {
		t.channels[channel] = methods(types)
	}
	return t
}

func methods(types map[uint64]string) map[uint64]*method {
	all := make(map[uint64]*method, len(types))
	for typ, name := range types {
		all[typ] = newMethod(name)
	}
	return all
}

// Events are the stages of requests; none if the provider is not enabled.
func (t *Observer) Events() stream.EventSet { return t.events }

// Chooses leaves out the requests of which it is known at once that they are not
// recorded ([stream.Chooser]).
func (t *Observer) Chooses(ctx context.Context, c *stream.Conn, role stream.Role, channel, tag, _ uint64) bool {
	var low uint64
	if role == stream.RoleServer {
		low = t.half(c.Info(), channel, tag)
	} else {
		low = rand.Uint64() // a call has no tag yet: its identity is made when it is chosen
	}
	return t.asks || keeps(low, t.keep) || parentOf(ctx) != nil || role == stream.RoleServer && carried(ctx)
}

// Foresee says how many requests are left out, by the same rules.
func (t *Observer) Foresee(c *stream.Conn, role stream.Role, channel, tag uint64) (unchosen uint64) {
	switch {
	case t.asks:
		return 0
	case role == stream.RoleClient:
		return t.provider.share.drawGap()
	}
	key := traceKeyOf(1, &t.seed, c.Info(), role, channel)
	for unchosen < mostForeseen && !keeps(key.half(tag+unchosen), t.keep) {
		unchosen++
	}
	return unchosen
}

// mostForeseen bounds what a request costs whose tag is not the one after the last.
const mostForeseen = 64

// Decides is the key of spans in contexts: a request is recorded if its parent is.
func (t *Observer) Decides() any { return spanKey }

// Begin decides whether a request is recorded. The context that it returns then leads
// to its span, which is made when somebody asks for it; and e is followed. For a request
// of a peer that is not recorded, handlers find the decision by Value, so that their
// spans are not recorded either.
func (t *Observer) Begin(ctx context.Context, e *stream.Event) context.Context {
	if t.provider == nil {
		return t.beginForeign(ctx, e)
	}
	if e.Kind == stream.EventRequestBegin {
		ctx = t.arrived(ctx)
	}
	if !e.Followed && !t.Chooses(ctx, e.Conn, roleOf(e), e.Packet.Channel, e.Packet.Tag, e.Packet.Type) {
		return ctx // somebody else's observer calls this one, without asking first
	}
	e.Followed = false
	m, role := t.method(e.Packet.Channel, e.Packet.Type), roleOf(e)
	if role == stream.RoleServer && !t.asks && carried(ctx) && parentOf(ctx) == nil && !t.keeps(e) {
		return ctx // it was chosen for what had travelled with it alone
	}
	d, recorded := t.provider.decide(ctx, m, role, e)
	if !recorded {
		return ctx
	}
	e.Followed = true
	r := t.newRequest(ctx, e)
	r.decided = d
	return r
}

// keeps says whether a peer's request is sampled for its own identity.
func (t *Observer) keeps(e *stream.Event) bool {
	return keeps(t.half(e.Conn.Info(), e.Packet.Channel, e.Packet.Tag), t.keep)
}

// half is the lower half of the identity of a peer's request.
func (t *Observer) half(conn *stream.ConnInfo, channel, tag uint64) uint64 {
	key := traceKeyOf(1, &t.seed, conn, stream.RoleServer, channel)
	return key.half(tag)
}

// beginForeign begins a span of somebody else's provider: only its tracer knows what is
// recorded, and asks when the span begins.
func (t *Observer) beginForeign(ctx context.Context, e *stream.Event) context.Context {
	e.Followed = false
	if e.Kind == stream.EventRequestBegin {
		ctx = t.arrived(ctx)
	}
	if parent := trace.SpanContextFromContext(ctx); parent.IsValid() && !parent.IsSampled() {
		return ctx
	}
	r := t.newRequest(ctx, e)
	if r.span = r.start(); !r.span.IsRecording() {
		return trace.ContextWithSpan(ctx, r.span)
	}
	e.Followed = true
	return r
}

func (t *Observer) newRequest(ctx context.Context, e *stream.Event) *request {
	r := emptyRequest()
	r.Context, r.observer, r.conn, r.role = ctx, t, e.Conn.Info(), roleOf(e)
	r.End = e.End()
	r.further = t.further(r.conn)
	return r
}

// further are the attributes of a connection by Options.Attributes, or nil.
func (t *Observer) further(conn *stream.ConnInfo) *[]attribute.KeyValue {
	if t.attributes == nil {
		return nil
	}
	attrs := t.attributes(conn)
	return &attrs
}

func roleOf(e *stream.Event) stream.Role {
	if e.Kind == stream.EventRequestBegin {
		return stream.RoleServer
	}
	return stream.RoleClient
}

func (t *Observer) method(channel, typ uint64) *method {
	if channel != 0 {
		if types, named := t.channels[channel]; named {
			return cmp.Or(types[typ], t.other)
		}
	}
	if typ < uint64(len(t.low)) {
		return t.low[typ]
	}
	return cmp.Or(t.types[typ], t.other)
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
		return &unsampled{traceID: t.provider.traceID(req.Conn.Info(), stream.RoleServer, req.Channel, req.Tag)}
	}
	return nil
}
