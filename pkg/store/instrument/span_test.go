package instrument

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/tracing"
)

// recorded are options with a provider whose spans are recorded.
func recorded(t testing.TB) (Options, *sdktrace.TracerProvider, *tracetest.SpanRecorder) {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	return Options{Provider: provider}, provider, spans
}

// Each operation is a child of the request's span and says what it was about.
func TestSpans(t *testing.T) {
	o, provider, spans := recorded(t)
	i, reg := mustNew(t, o)
	ctx, parent := provider.Tracer("test").Start(t.Context(), "Request")
	all(ctx, i.Backend(newMemory(0)))

	code := keyCode.String(store.SHA256.Sum([]byte("block")).String())
	home := keyArchive.String("home")
	want := map[string][]attribute.KeyValue{
		"store.put":     {code, keySize.Int(5), keyResult.String("new")},
		"store.replace": {code, keySize.Int(5), keyResult.String("ok")},
		"store.get":     {code, keySize.Int(5), keyResult.String("found")},
		"store.has":     {code, keyResult.String("found")},
		"store.codes":   {keyCount.Int(1), keyResult.String("ok")},
		"store.length":  {keyResult.String("ok")},
		"store.sync":    {keyResult.String("ok")},
		"store.append":  {home, keySize.Int(5), keyResult.String("ok")},
		"store.last":    {home, keySize.Int(5), keyResult.String("found")},
		"store.entries": {home, keyCount.Int(1), keySize.Int(5), keyResult.String("ok")},
	}
	for _, s := range spans.Ended() {
		expected, ok := want[s.Name()]
		delete(want, s.Name())
		if !ok || !slices.Equal(s.Attributes(), expected) {
			t.Errorf("span %s has %v, want %v", s.Name(), s.Attributes(), expected)
		}
		if s.Parent().SpanID() != parent.SpanContext().SpanID() || s.Status().Code != codes.Unset {
			t.Errorf("span %s has the parent %v and the status %v", s.Name(), s.Parent().SpanID(), s.Status())
		}
	}
	for name := range want {
		t.Errorf("there is no span %s", name)
	}

	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() != "pktsvc_store_operation_duration_seconds" {
				continue
			}
			if e := m.GetHistogram().GetExemplars(); len(e) != 1 || e[0].GetLabel()[0].GetValue() != parent.SpanContext().TraceID().String() {
				t.Errorf("%v has the exemplars %v, want one of the request's trace", m.GetLabel(), e)
			}
		}
	}
}

func TestSpansOfFailures(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		ctx    context.Context
		err    error
		result string
		typ    string // error.type
		status sdktrace.Status
	}{
		{t.Context(), store.ErrMissing, "missing", "", sdktrace.Status{}},
		{t.Context(), store.ErrFull, "full", "full", sdktrace.Status{Code: codes.Error, Description: store.ErrFull.Error()}},
		{t.Context(), errors.New("not \xff UTF-8"), "failed", "failed", sdktrace.Status{Code: codes.Error, Description: "not \uFFFD UTF-8"}},
		{t.Context(), errors.New(strings.Repeat("x", 2*maxText)), "failed", "failed", sdktrace.Status{Code: codes.Error, Description: strings.Repeat("x", maxText) + "..."}},
		{canceled, context.Canceled, "canceled", "canceled", sdktrace.Status{}},
	} {
		o, provider, spans := recorded(t)
		i, _ := mustNew(t, o)
		ctx, _ := provider.Tracer("test").Start(test.ctx, "Request")
		m := newMemory(0)
		m.err = test.err
		all(ctx, i.Backend(m))
		if n := len(spans.Ended()); n != numOperations {
			t.Errorf("%v: %d spans, want %d", test.err, n, numOperations)
		}
		for _, s := range spans.Ended() {
			attrs := attribute.NewSet(s.Attributes()...)
			result, _ := attrs.Value(keyResult)
			typ, _ := attrs.Value(keyErrorType)
			if result.AsString() != test.result || typ.AsString() != test.typ || s.Status() != test.status {
				t.Errorf("%s that fails with %q has the result %q, the type %q and the status %v", s.Name(), test.err, result.AsString(), typ.AsString(), s.Status())
			}
		}
	}
}

// Requests that are not recorded have no spans, whoever asks.
func TestNoSpans(t *testing.T) {
	o, _, spans := recorded(t)
	unsampled := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}}))
	remote := trace.ContextWithRemoteSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled}))
	for name, ctx := range map[string]context.Context{"no parent": t.Context(), "unsampled": unsampled, "remote": remote} {
		i, _ := mustNew(t, o)
		all(ctx, i.Backend(newMemory(0)))
		if list := spans.Started(); len(list) > 0 {
			t.Errorf("%s: %d spans, the first %s", name, len(list), list[0].Name())
		}
	}
}

// With the spans of package tracing, over a connection.
func TestSpansOfRequests(t *testing.T) {
	for name, sampler := range map[string]sdktrace.Sampler{"all": nil, "none": sdktrace.NeverSample()} {
		t.Run(name, func(t *testing.T) {
			exporter := &exported{tracetest.NewInMemoryExporter()}
			provider, err := tracing.NewProvider(t.Context(), tracing.ProviderOptions{Mode: tracing.On, Exporter: exporter, Sampler: sampler})
			if err != nil {
				t.Fatal(err)
			}
			i, _ := mustNew(t, Options{Provider: provider, TraceID: tracing.TraceID})
			service := store.NewService(i.Backend(newMemory(0)), i.Options(store.Options{}))
			observer := tracing.New(tracing.Options{Provider: provider, Types: service.Mux().Names()})
			t.Run("traffic", func(t *testing.T) { // at whose end all is over
				if _, err := connect(t, service, observer).Add(t.Context(), []byte("block")); err != nil {
					t.Error(err)
				}
			})
			if err := provider.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			spans := exporter.GetSpans()
			if sampler != nil {
				if len(spans) > 0 {
					t.Errorf("%d spans of requests that are not sampled", len(spans))
				}
				return
			}
			named := make(map[string]tracetest.SpanStub)
			for _, s := range spans {
				named[s.Name] = s
			}
			put, add := named["store.put"], named["Add"]
			if !put.SpanContext.IsValid() || put.Parent.SpanID() != add.SpanContext.SpanID() || put.SpanContext.TraceID() != add.SpanContext.TraceID() {
				t.Errorf("store.put is %v below %v, want it below %v", put.SpanContext, put.Parent, add.SpanContext)
			}
		})
	}
}

// exported keeps its spans over a shutdown.
type exported struct{ *tracetest.InMemoryExporter }

func (*exported) Shutdown(context.Context) error { return nil }
