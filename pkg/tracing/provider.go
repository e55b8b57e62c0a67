package tracing

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
	"go.opentelemetry.io/otel/trace/noop"
)

// Mode says whether spans are made.
type Mode uint8

// The modes.
const (
	Auto Mode = iota // if the environment asks, see Asked
	On               // unless OTEL_SDK_DISABLED is true
	Off
)

// ProviderOptions configure a [Provider]. The zero value works: the environment
// decides everything.
type ProviderOptions struct {
	Mode Mode

	// Service and Version name the program in its spans. OTEL_SERVICE_NAME and
	// OTEL_RESOURCE_ATTRIBUTES have precedence.
	Service, Version string

	// Attributes are further ones of the resource, for every span.
	Attributes []attribute.KeyValue

	// Sampler is used where OTEL_TRACES_SAMPLER names none, such as [Ratio]. Default:
	// that of the parent, else every request.
	Sampler sdktrace.Sampler

	// Exporter takes the spans in place of the one that the environment names.
	Exporter sdktrace.SpanExporter
}

// Provider is a tracer provider of the OpenTelemetry SDK, set up from the
// environment, whose sampler can be asked before a span is built. To make it the
// one that other packages use, give it to [otel.SetTracerProvider]. Its methods
// may be called concurrently.
type Provider struct {
	embedded.TracerProvider

	sdk      *sdktrace.TracerProvider // nil: not enabled
	sampler  sdktrace.Sampler
	share    *ratio // what sampler does without a parent, if that is known
	export   *export
	records  bool // requests are exported as records
	resource *resource.Resource
	seeds    [2][2]uint64 // of the identities of traces
}

// Asked reports whether the environment asks for spans: OTEL_TRACES_EXPORTER
// names an exporter other than none, or OTEL_EXPORTER_OTLP_ENDPOINT or
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set; and OTEL_SDK_DISABLED is not true.
func Asked() bool {
	if disabled() {
		return false
	}
	if exporter := environ("OTEL_TRACES_EXPORTER"); exporter != "" {
		return exporter != "none"
	}
	return environ("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || environ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

func environ(name string) string { return strings.TrimSpace(os.Getenv(name)) }

func disabled() bool { return strings.EqualFold(environ("OTEL_SDK_DISABLED"), "true") }

// NewProvider makes a provider. Where spans are not to be made it returns one
// that makes none and starts nothing; Enabled tells. Besides OTEL_TRACES_EXPORTER
// (otlp, console or none) and the variables of the exporters, it honours
// OTEL_SDK_DISABLED, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
// OTEL_TRACES_SAMPLER with _ARG, OTEL_BSP_* and the limits of spans. It does not
// wait for the exporter to reach anybody.
//
// Only a wrong exporter is an error. What is wrong with the sampler or the
// resource is told to the handler of [otel.SetErrorHandler], and the default, or
// what there is, is used.
func NewProvider(ctx context.Context, o ProviderOptions) (*Provider, error) {
	if o.Mode == Off || disabled() || (o.Mode == Auto && !Asked()) {
		return new(Provider), nil
	}
	exporter := o.Exporter
	if exporter == nil {
		var err error
		if exporter, err = autoexport.NewSpanExporter(ctx); err != nil {
			return nil, fmt.Errorf("tracing: exporter of OTEL_TRACES_EXPORTER=%q: %w", environ("OTEL_TRACES_EXPORTER"), err)
		}
		if autoexport.IsNoneSpanExporter(exporter) {
			return new(Provider), nil
		}
	}
	sampler, err := environmentSampler(os.Getenv)
	if err != nil {
		otel.Handle(fmt.Errorf("tracing: %w", err))
	}
	if sampler == nil && err == nil {
		sampler = o.Sampler
	}
	if sampler == nil {
		sampler = sdktrace.ParentBased(sdktrace.AlwaysSample())
	}
	export := newExport(exporter)
	share, _ := sampler.(*ratio)
	resource := newResource(ctx, o)
	return &Provider{
		sampler:  sampler,
		share:    share,
		export:   export,
		records:  unlimited(),
		resource: resource,
		seeds:    [2][2]uint64{{rand.Uint64(), rand.Uint64()}, {rand.Uint64(), rand.Uint64()}},
		sdk: sdktrace.NewTracerProvider(
			sdktrace.WithSpanProcessor(export),
			sdktrace.WithResource(resource),
			sdktrace.WithSampler(decidedSampler{sampler}),
			sdktrace.WithIDGenerator(idGenerator{}),
		),
	}, nil
}

// newResource describes this process. Single detectors are used, since the
// collection of all process attributes fails in a container without users; and
// the environment comes last, so that it has precedence.
func newResource(ctx context.Context, o ProviderOptions) *resource.Resource {
	var attrs []attribute.KeyValue
	if o.Service != "" {
		attrs = append(attrs, semconv.ServiceName(o.Service))
	}
	if o.Version != "" {
		attrs = append(attrs, semconv.ServiceVersion(o.Version))
	}
	attrs = append(attrs, o.Attributes...)
	r, err := resource.New(ctx,
		resource.WithService(), // unknown_service:PROGRAM, unless something below names it
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithProcessPID(),
		resource.WithProcessExecutableName(),
		resource.WithProcessRuntimeName(),
		resource.WithProcessRuntimeVersion(),
		resource.WithAttributes(attrs...),
		resource.WithFromEnv(),
	)
	if err != nil {
		otel.Handle(fmt.Errorf("tracing: resource: %w", err))
	}
	return r
}

// Enabled reports whether spans are made.
func (p *Provider) Enabled() bool { return p.sdk != nil }

// Spans returns what has become of the spans; nothing, if the provider is not
// enabled.
func (p *Provider) Spans() SpanStats {
	if p.export == nil {
		return SpanStats{}
	}
	return p.export.stats()
}

// Tracer returns a tracer, which makes nothing if the provider is not enabled.
func (p *Provider) Tracer(name string, options ...trace.TracerOption) trace.Tracer {
	if p.sdk == nil {
		return noop.NewTracerProvider().Tracer(name, options...)
	}
	return p.sdk.Tracer(name, options...)
}

// ForceFlush exports what has ended so far. It blocks until that is done or ctx
// ends.
func (p *Provider) ForceFlush(ctx context.Context) error {
	if p.sdk == nil {
		return nil
	}
	return p.sdk.ForceFlush(ctx)
}

// Shutdown exports what has ended and makes no spans any more. It blocks until
// that is done or ctx ends; spans that have not left by then are lost.
func (p *Provider) Shutdown(ctx context.Context) error {
	if p.sdk == nil {
		return nil
	}
	return p.sdk.Shutdown(ctx)
}
