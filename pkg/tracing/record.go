package tracing

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// record is the span of a request that has ended without anybody asking for its span,
// as exporters see it. What it says is made when they look: on their goroutine, of what
// the request has noted anyway. A span of the SDK, which takes changes from anybody at
// any time, would cost microseconds at both ends of the request.
type record struct {
	sdktrace.ReadOnlySpan // nil: it is there for the method that others cannot write
	*request
}

// unlimited says that no limit of spans is set by which the SDK would have to cut what a
// record says.
func unlimited() bool {
	return sdktrace.NewSpanLimits() == sdktrace.SpanLimits{
		AttributeValueLengthLimit:   sdktrace.DefaultAttributeValueLengthLimit,
		AttributeValueDepthLimit:    sdktrace.DefaultAttributeValueDepthLimit,
		AttributeCountLimit:         sdktrace.DefaultAttributeCountLimit,
		EventCountLimit:             sdktrace.DefaultEventCountLimit,
		LinkCountLimit:              sdktrace.DefaultLinkCountLimit,
		AttributePerEventCountLimit: sdktrace.DefaultAttributePerEventCountLimit,
		AttributePerLinkCountLimit:  sdktrace.DefaultAttributePerLinkCountLimit,
	}
}

func (r *record) Name() string                   { return r.method.name }
func (r *record) SpanContext() trace.SpanContext { return r.spanContext() }
func (r *record) SpanKind() trace.SpanKind       { return kindOf(r.role) }
func (r *record) StartTime() time.Time           { return r.begun }
func (r *record) EndTime() time.Time             { return r.endTime() }
func (r *record) DroppedAttributes() int         { return 0 }
func (r *record) DroppedLinks() int              { return 0 }
func (r *record) DroppedEvents() int             { return 0 }
func (r *record) ChildSpanCount() int            { return 0 } // a child would have asked for the span

// Links has the span of a caller that is not trusted.
func (r *record) Links() []sdktrace.Link {
	if r.link == nil {
		return nil
	}
	return []sdktrace.Link{{SpanContext: *r.link}}
}

func (r *record) Resource() *resource.Resource { return r.observer.provider.resource }

func (r *record) InstrumentationScope() instrumentation.Scope {
	return instrumentation.Scope{Name: scopeName, SchemaURL: schemaURL}
}

// InstrumentationLibrary is the deprecated name of the same.
func (r *record) InstrumentationLibrary() instrumentation.Scope { return r.InstrumentationScope() }

// Parent is the span in whose context the call was made.
func (r *record) Parent() trace.SpanContext {
	if r.decided.root {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(r.Context)
}

func (r *record) Attributes() []attribute.KeyValue {
	attrs := append(make([]attribute.KeyValue, 0, 16), r.method.attrs...)
	attrs = append(attrs, r.decided.result().Attributes...)
	return r.endAttributes(r.attributes(attrs))
}

func (r *record) Events() []sdktrace.Event {
	return r.stages(make([]sdktrace.Event, 0, 3))
}

func (r *record) Status() sdktrace.Status {
	if r.failed() {
		return sdktrace.Status{Code: codes.Error, Description: r.description()}
	}
	return sdktrace.Status{}
}
