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

// A request that has ended without anybody asking for its span is its span itself, as
// exporters see it. What the methods say is made when they look: on their goroutine, of
// what the request has noted anyway. A span of the SDK, which takes changes from anybody
// at any time, would cost microseconds at both ends of the request.

// unlimited says that no limit of spans is set by which the SDK would have to cut what a
// request says as a span.
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

func (r *request) Name() string                   { return r.method().name }
func (r *request) SpanContext() trace.SpanContext { return r.spanContext() }
func (r *request) SpanKind() trace.SpanKind       { return kindOf(r.role) }
func (r *request) StartTime() time.Time           { return r.Begun() }
func (r *request) EndTime() time.Time             { return r.endTime() }
func (r *request) DroppedAttributes() int         { return 0 }
func (r *request) DroppedLinks() int              { return 0 }
func (r *request) DroppedEvents() int             { return 0 }
func (r *request) ChildSpanCount() int            { return 0 } // a child would have asked for the span

// Links has the span of a caller that is not trusted.
func (r *request) Links() []sdktrace.Link {
	if link := r.caller(); link.IsValid() {
		return []sdktrace.Link{{SpanContext: link}}
	}
	return nil
}

func (r *request) Resource() *resource.Resource { return r.observer.provider.resource }

func (r *request) InstrumentationScope() instrumentation.Scope {
	return instrumentation.Scope{Name: scopeName, SchemaURL: schemaURL}
}

// InstrumentationLibrary is the deprecated name of the same.
func (r *request) InstrumentationLibrary() instrumentation.Scope { return r.InstrumentationScope() }

// Parent is the span in whose context the call was made.
func (r *request) Parent() trace.SpanContext {
	if r.decided.root {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(r.Context)
}

func (r *request) Attributes() []attribute.KeyValue {
	attrs := append(make([]attribute.KeyValue, 0, 16), r.method().attrs...)
	attrs = append(attrs, r.decided.result().Attributes...)
	return r.endAttributes(r.attributes(attrs))
}

func (r *request) Events() []sdktrace.Event {
	return r.stages(make([]sdktrace.Event, 0, 3))
}

func (r *request) Status() sdktrace.Status {
	if r.failed() {
		return sdktrace.Status{Code: codes.Error, Description: r.description()}
	}
	return sdktrace.Status{}
}
