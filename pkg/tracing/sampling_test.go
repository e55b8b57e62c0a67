package tracing

import (
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// never samples no root span; with a sampled parent its ParentBased form does.
func TestSamplingIsDecidedBefore(t *testing.T) {
	tests := []struct {
		name    string
		sampler sdktrace.Sampler
		flags   trace.TraceFlags // of a parent
		parent  bool
		want    int // spans of the client
	}{
		{"no parent, never", sdktrace.ParentBased(sdktrace.NeverSample()), 0, false, 0},
		{"sampled parent", sdktrace.ParentBased(sdktrace.NeverSample()), trace.FlagsSampled, true, 1},
		{"unsampled parent", sdktrace.ParentBased(sdktrace.AlwaysSample()), 0, true, 0},
		{"no parent, always", sdktrace.ParentBased(sdktrace.AlwaysSample()), 0, false, 1},
		{"a sampler that looks at no parent", sdktrace.AlwaysSample(), 0, true, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				counting := &countingSampler{Sampler: tt.sampler}
				p, mem := mustProvider(t, ProviderOptions{Sampler: counting})
				c, _ := connect(t, stream.Options{Observer: New(Options{Provider: p, Types: typeNames})}, stream.Options{Handler: handler(p)})
				ctx := t.Context()
				if tt.parent {
					ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
						TraceID: newTraceID(), SpanID: newSpanID(), TraceFlags: tt.flags,
					}))
				}
				if err := ask(ctx, c, stream.Request{Type: typeEcho}); err != nil {
					t.Fatal(err)
				}
				spans := mem.spans(t, p)
				if len(spans) != tt.want {
					t.Errorf("%d spans, want %d", len(spans), tt.want)
				}
				if counting.asked != 1 {
					t.Errorf("the sampler was asked %d times, want once", counting.asked)
				}
				for _, span := range spans {
					if span.SpanContext.TraceID() != counting.about {
						t.Error("the span is in another trace than the one that was decided about")
					}
				}
			})
		})
	}
}

type countingSampler struct {
	sdktrace.Sampler
	asked int
	about trace.TraceID
}

func (s *countingSampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	s.asked++
	s.about = p.TraceID
	return s.Sampler.ShouldSample(p)
}

// With a ratio, a request and what its handler makes are either all recorded or
// not at all.
func TestRatioKeepsTracesWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 400
		p, mem := mustProvider(t, ProviderOptions{Sampler: sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.25))})
		c, _ := connect(t, stream.Options{}, stream.Options{Observer: New(Options{Provider: p, Types: typeNames}), Handler: handler(p)})
		for range n {
			if err := ask(t.Context(), c, stream.Request{Type: typeOwnSpan}); err != nil {
				t.Fatal(err)
			}
		}
		requests, own := 0, 0
		roots := make(map[trace.SpanID]bool)
		spans := mem.spans(t, p)
		for _, span := range spans {
			if span.Name == "OwnSpan" {
				requests++
				roots[span.SpanContext.SpanID()] = true
			}
		}
		for _, span := range spans {
			if span.Name == "own" {
				own++
				if !roots[span.Parent.SpanID()] {
					t.Error("a span of a handler without the span of its request")
				}
			}
		}
		// 100 expected, standard deviation 8.7: eight of them on both sides.
		if requests < 30 || requests > 170 || own != requests {
			t.Errorf("%d of %d requests recorded with %d spans of handlers, want about 100 and as many", requests, n, own)
		}
	})
}

// Another tracer provider than ours.
func TestForeignProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := &memory{tracetest.NewInMemoryExporter()}
		tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(mem), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())))
		observer := New(Options{Provider: tp, Types: typeNames})
		c, _ := connect(t, stream.Options{Observer: observer}, stream.Options{Observer: observer, Handler: handler(tp)})
		if err := ask(t.Context(), c, stream.Request{Type: typeOwnSpan}); err != nil {
			t.Fatal(err)
		}
		if got := len(mem.GetSpans()); got != 3 {
			t.Errorf("%d spans, want those of both sides and the handler's", got)
		}
		mem.Reset()
		ctx := trace.ContextWithSpan(t.Context(), &unsampled{traceID: newTraceID()})
		if err := ask(ctx, c, stream.Request{Type: typeEcho}); err != nil {
			t.Fatal(err)
		}
		if got := len(mem.GetSpans()); got != 1 { // the server knows nothing of the parent
			t.Errorf("%d spans for a call with an unsampled parent, want the server's", got)
		}
	})
}

func TestUnsampledCostsNoSpan(t *testing.T) {
	t.Run("of the SDK", func(t *testing.T) {
		testUnsampledCostsNoSpan(t, sdktrace.ParentBased(sdktrace.TraceIDRatioBased(1e-18)))
	})
	t.Run("of a share", func(t *testing.T) { testUnsampledCostsNoSpan(t, Ratio(1e-18)) })
}

func testUnsampledCostsNoSpan(t *testing.T, sampler sdktrace.Sampler) {
	p, mem := mustProvider(t, ProviderOptions{Sampler: sampler})
	observer := New(Options{Provider: p, Types: typeNames, Attributes: func(*stream.ConnInfo) []attribute.KeyValue {
		t.Error("attributes were asked for")
		return nil
	}})
	c, s := connect(t, stream.Options{}, stream.Options{})
	for _, tt := range []struct {
		name        string
		conn        *stream.Conn
		begin, done stream.EventKind
	}{
		{"client", c, stream.EventCallBegin, stream.EventCallDone},
		{"server", s, stream.EventRequestBegin, stream.EventRequestDone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx := t.Context()
			e := new(stream.Event)
			got := testing.AllocsPerRun(1000, func() {
				*e = stream.Event{Kind: tt.begin, Conn: tt.conn, Time: time.Unix(1, 0), Packet: stream.Packet{Type: typeEcho, Tag: 2}}
				ctx := observer.Begin(ctx, e)
				e.Kind = tt.done
				observer.Observe(ctx, e)
				if _, sampled := TraceID(ctx); sampled {
					t.Error("it is sampled")
				}
			})
			if got != 0 {
				t.Errorf("%v allocations", got)
			}
		})
	}
	if spans := mem.spans(t, p); len(spans) != 0 {
		t.Errorf("%d spans", len(spans))
	}
}

// What is foreseen of a share is what would have been said about each request: of peers'
// requests those are recorded that their identities choose, and of calls as many.
func TestForeseenShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, share = 4000, .05
		near, calls := mustProvider(t, ProviderOptions{Sampler: Ratio(share)})
		far, requests := mustProvider(t, ProviderOptions{Sampler: Ratio(share)})
		serving := New(Options{Provider: far, Types: typeNames})
		c, s := connect(t, stream.Options{Observer: New(Options{Provider: near, Types: typeNames})},
			stream.Options{Observer: serving, Handler: handler(far)})
		var got, want []string
		for range n {
			if err := ask(t.Context(), c, stream.Request{Type: typeEcho}); err != nil {
				t.Fatal(err)
			}
		}
		for _, span := range requests.spans(t, far) {
			got = append(got, attributes(span.Attributes)[string(keyTag)])
		}
		for tag := uint64(2); tag < n+2; tag++ { // tags begin with 2
			e := &stream.Event{Kind: stream.EventRequestBegin, Conn: s, Packet: stream.Packet{Tag: tag}}
			if serving.keeps(e) {
				want = append(want, strconv.FormatUint(tag, 10))
			}
		}
		if !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("recorded were %v,\nwant %v", got, want)
		}
		// 200 expected, standard deviation 13.8: seven of them on both sides.
		if n := len(calls.spans(t, near)); n < 104 || n > 296 {
			t.Errorf("%d calls of 4000 were recorded, want about 200", n)
		}
	})
}

func TestDrawGap(t *testing.T) {
	const n = 100_000
	sum, r := 0., newRatio(.01, nil)
	for range n {
		sum += float64(r.drawGap())
	}
	// 99 expected, standard deviation 0.32: seven of them on both sides.
	if mean := sum / n; mean < 96.7 || mean > 101.3 {
		t.Errorf("between two that are kept there are %v on average, want 99", mean)
	}
	if gap := newRatio(1, nil).drawGap(); gap != 0 {
		t.Errorf("%d are left out of all", gap)
	}
	for _, none := range []float64{0, 1e-19} { // too few for one identity to be kept
		if gap := newRatio(none, nil).drawGap(); gap != 1<<63 {
			t.Errorf("of %v one is kept, after %d", none, gap)
		}
	}
}

// onlyServers samples no calls.
type onlyServers struct{ sdktrace.Sampler }

func (s onlyServers) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if p.Kind == trace.SpanKindClient {
		return sdktrace.SamplingResult{Decision: sdktrace.Drop}
	}
	return s.Sampler.ShouldSample(p)
}

// A call that is not sampled leaves the span of the request alone in whose
// handler it is made.
func TestUnsampledCallInSampledRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, mem := mustProvider(t, ProviderOptions{Sampler: onlyServers{sdktrace.AlwaysSample()}})
		c, _ := connect(t, stream.Options{Handler: handler(p)},
			stream.Options{Observer: New(Options{Provider: p, Types: typeNames}), Handler: handler(p)})
		if err := ask(t.Context(), c, stream.Request{Type: typeAskBack, Payload: []byte("abc")}); err != nil {
			t.Fatal(err)
		}
		spans := mem.spans(t, p)
		if len(spans) != 1 || spans[0].Name != "AskBack" {
			t.Fatalf("spans %v, want that of the request", spans)
		}
		if got := eventNames(spans[0]); !slices.Equal(got, []string{"pktsvc.request.started"}) {
			t.Errorf("events %v: those of the call are among them", got)
		}
		if got := attributes(spans[0].Attributes); got["pktsvc.request.size"] != "3" || got["pktsvc.tag"] != "2" || got["pktsvc.outcome"] != "ok" {
			t.Errorf("attributes %v", got)
		}
	})
}
