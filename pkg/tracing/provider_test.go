package tracing

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// setEnvironment gives the test the named variables and none of the others.
func setEnvironment(t *testing.T, env map[string]string) {
	t.Helper()
	for _, name := range []string{
		"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
		"OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES",
		"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
		"OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
	} {
		t.Setenv(name, env[name])
	}
}

func TestEnabled(t *testing.T) {
	tests := []struct {
		name         string
		env          map[string]string
		auto, on     bool
		wrongIfOn    bool
		wrongExplain string
	}{
		{name: "nothing is set", auto: false, on: true},
		{name: "endpoint", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, auto: true, on: true},
		{name: "endpoint for traces", env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, auto: true, on: true},
		{name: "exporter", env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, auto: true, on: true},
		{name: "grpc", env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, auto: true, on: true},
		{name: "exporter none", env: map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, auto: false, on: false},
		{name: "disabled", env: map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "otlp"}, auto: false, on: false},
		{name: "disabled says no", env: map[string]string{"OTEL_SDK_DISABLED": "false", "OTEL_TRACES_EXPORTER": "otlp"}, auto: true, on: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setEnvironment(t, tt.env)
			if got := Asked(); got != tt.auto {
				t.Errorf("Asked: %t, want %t", got, tt.auto)
			}
			for mode, want := range map[Mode]bool{Auto: tt.auto, On: tt.on, Off: false} {
				p, err := NewProvider(t.Context(), ProviderOptions{Mode: mode})
				if err != nil {
					t.Fatal(err)
				}
				if p.Enabled() != want {
					t.Errorf("mode %d: enabled %t, want %t", mode, p.Enabled(), want)
				}
				if wants := New(Options{Provider: p}).Events() != 0; wants != want {
					t.Errorf("mode %d: the observer wants events: %t, want %t", mode, wants, want)
				}
				_, span := p.Tracer("test").Start(t.Context(), "x", trace.WithSpanKind(trace.SpanKindServer))
				if span.IsRecording() != want {
					t.Errorf("mode %d: a span is recorded: %t, want %t", mode, span.IsRecording(), want)
				}
				if err := p.Shutdown(t.Context()); err != nil {
					t.Errorf("mode %d: shutdown: %v", mode, err)
				}
			}
		})
	}
}

func TestWrongExporter(t *testing.T) {
	setEnvironment(t, map[string]string{"OTEL_TRACES_EXPORTER": "carrier_pigeon"})
	if _, err := NewProvider(t.Context(), ProviderOptions{}); err == nil || !strings.Contains(err.Error(), "carrier_pigeon") {
		t.Errorf("error %v, want one that names the exporter", err)
	}
}

func TestSamplerFromEnvironment(t *testing.T) {
	none := sdktrace.NeverSample()
	tests := []struct {
		name, arg, want, complaint string
	}{
		{"", "", none.Description(), ""}, // the one of the options
		{"always_on", "", sdktrace.AlwaysSample().Description(), ""},
		{" Always_OFF ", "", sdktrace.NeverSample().Description(), ""},
		{"traceidratio", "0.5", sdktrace.TraceIDRatioBased(0.5).Description(), ""},
		{"traceidratio", "", sdktrace.TraceIDRatioBased(1).Description(), ""},
		{"parentbased_always_on", "", sdktrace.ParentBased(sdktrace.AlwaysSample()).Description(), ""},
		{"parentbased_always_off", "", sdktrace.ParentBased(sdktrace.NeverSample()).Description(), ""},
		{"parentbased_traceidratio", "0.125", sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.125)).Description(), ""},
		{"traceidratio", "2", sdktrace.TraceIDRatioBased(1).Description(), `OTEL_TRACES_SAMPLER_ARG="2"`},
		{"traceidratio", "NaN", sdktrace.TraceIDRatioBased(1).Description(), `OTEL_TRACES_SAMPLER_ARG="NaN"`},
		{"traceidratio", "half", sdktrace.TraceIDRatioBased(1).Description(), `OTEL_TRACES_SAMPLER_ARG="half"`},
		{"jaeger_remote", "", sdktrace.ParentBased(sdktrace.AlwaysSample()).Description(), `OTEL_TRACES_SAMPLER="jaeger_remote"`},
		{"parentbased_", "", sdktrace.ParentBased(sdktrace.AlwaysSample()).Description(), `OTEL_TRACES_SAMPLER="parentbased_"`},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.arg, func(t *testing.T) {
			complaints := catchErrors(t)
			setEnvironment(t, map[string]string{"OTEL_TRACES_SAMPLER": tt.name, "OTEL_TRACES_SAMPLER_ARG": tt.arg})
			p, _ := mustProvider(t, ProviderOptions{Sampler: none})
			if got := p.sampler.Description(); got != tt.want {
				t.Errorf("sampler %s, want %s", got, tt.want)
			}
			text := complaints()
			if (tt.complaint == "") != (text == "") || !strings.Contains(text, tt.complaint) {
				t.Errorf("complaints %q, want %q", text, tt.complaint)
			}
		})
	}
}

// catchErrors collects what OpenTelemetry complains about for the test's time.
func catchErrors(t *testing.T) func() string {
	var mu sync.Mutex
	var texts []string
	before := otel.GetErrorHandler()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(err.Error(), "tracing:") { // the SDK complains on its own, too
			texts = append(texts, err.Error())
		}
	}))
	t.Cleanup(func() { otel.SetErrorHandler(before) })
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(texts, "\n")
	}
}

func TestResource(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		want map[string]string
	}{
		{"from the options", nil, map[string]string{"service.name": "greeter", "service.version": "1.2.3", "team": "code"}},
		{"the environment has precedence", map[string]string{
			"OTEL_SERVICE_NAME": "renamed", "OTEL_RESOURCE_ATTRIBUTES": "service.name=unused,team=env,zone=z1",
		}, map[string]string{"service.name": "renamed", "service.version": "1.2.3", "team": "env", "zone": "z1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setEnvironment(t, tt.env)
			p, mem := mustProvider(t, ProviderOptions{
				Service: "greeter", Version: "1.2.3", Attributes: []attribute.KeyValue{attribute.String("team", "code")},
			})
			_, span := p.Tracer("test").Start(t.Context(), "x")
			span.End()
			got := attributes(mem.spans(t, p)[0].Resource.Attributes())
			for k, v := range tt.want {
				if got[k] != v {
					t.Errorf("%s is %q, want %q", k, got[k], v)
				}
			}
			if got["telemetry.sdk.name"] == "" || got["process.pid"] == "" {
				t.Errorf("resource %v has no SDK or process", got)
			}
		})
	}
}

func TestResourceErrorsAreNotFatal(t *testing.T) {
	complaints := catchErrors(t)
	setEnvironment(t, map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "no equals sign"})
	p, mem := mustProvider(t, ProviderOptions{Service: "greeter"})
	_, span := p.Tracer("test").Start(t.Context(), "x")
	span.End()
	if got := attributes(mem.spans(t, p)[0].Resource.Attributes())["service.name"]; got != "greeter" {
		t.Errorf("service.name is %q, want greeter", got)
	}
	if !strings.Contains(complaints(), "resource") {
		t.Errorf("nobody was told: %q", complaints())
	}
}

// Spans reach a collector that the environment names, at the latest at Shutdown.
func TestExportToEndpoint(t *testing.T) {
	var mu sync.Mutex
	var paths []string
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		paths = append(paths, r.URL.Path)
	}))
	defer collector.Close()
	setEnvironment(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL})
	p, err := NewProvider(t.Context(), ProviderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	observer := New(Options{Provider: p, Types: typeNames})
	c, _ := connect(t, stream.Options{Observer: observer}, stream.Options{Handler: handler(p)})
	call, err := c.Submit(t.Context(), stream.Request{Type: typeEcho})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(paths) != 1 || paths[0] != "/v1/traces" {
		t.Errorf("the collector got %v, want one export to /v1/traces", paths)
	}
}

// stuck is an exporter whose collector does not answer.
type stuck struct{ release chan struct{} }

func (s stuck) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	<-s.release
	return nil
}
func (stuck) Shutdown(context.Context) error { return nil }

func TestShutdownEndsWithItsContext(t *testing.T) {
	exporter := stuck{make(chan struct{})}
	defer close(exporter.release)
	p, err := NewProvider(t.Context(), ProviderOptions{Mode: On, Exporter: exporter})
	if err != nil {
		t.Fatal(err)
	}
	_, span := p.Tracer("test").Start(t.Context(), "x")
	span.End()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown: %v, want the context's error", err)
	}
}
