package tracing

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"unsafe"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// A record says what the span of the SDK says for the same request.
func TestRecordSaysWhatASpanOfTheSDKSays(t *testing.T) {
	for _, req := range []stream.Request{
		{Type: typeEcho, Flags: 5, Label: "label", Payload: []byte("abc")},
		{Type: typeFail}, {Type: typePanic}, {Type: typeRefuse}, {Type: typeAskBack}, {Type: 99},
		{Type: typeEcho, Channel: 7}, // refused
	} {
		t.Run(typeNames[req.Type], func(t *testing.T) {
			record, span := spansOf(t, true, req), spansOf(t, false, req)
			if len(record) == 0 || len(record) != len(span) {
				t.Fatalf("%d records and %d spans", len(record), len(span))
			}
			for i := range record {
				if r, s := fmt.Sprintf("%+v", record[i]), fmt.Sprintf("%+v", span[i]); r != s {
					t.Errorf("record\n%s\nspan of the SDK\n%s", r, s)
				}
			}
		})
	}
}

// spansOf runs a request at the same time of a clock that stands still.
func spansOf(t *testing.T, records bool, req stream.Request) (list tracetest.SpanStubs) {
	var p *Provider
	synctest.Test(t, func(t *testing.T) {
		var mem *memory
		p, mem = mustProvider(t, ProviderOptions{})
		if !p.records {
			t.Fatal("limits of spans are in the environment")
		}
		p.records = records
		observer := New(Options{Provider: p, Types: typeNames, Attributes: func(c *stream.ConnInfo) []attribute.KeyValue {
			return []attribute.KeyValue{attribute.String("own", c.Name)}
		}})
		handler := handler(p)
		c, _ := connect(t, stream.Options{Observer: observer, Handler: handler}, stream.Options{Observer: observer, Handler: handler})
		_ = ask(t.Context(), c, req)
		list = mem.spans(t, p)
	})
	for i := range list {
		s := &list[i]
		if !s.Resource.Equal(p.resource) {
			t.Errorf("resource %v", s.Resource)
		}
		s.Resource = nil // each provider has its own
		s.SpanContext = anonymous(s.SpanContext)
		s.Parent = anonymous(s.Parent)
		s.ChildSpanCount = 0 // who has children is no record
		slices.SortFunc(s.Attributes, func(a, b attribute.KeyValue) int { return cmp.Compare(a.Key, b.Key) })
	}
	slices.SortStableFunc(list, func(a, b tracetest.SpanStub) int {
		return cmp.Or(cmp.Compare(a.SpanKind, b.SpanKind), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// anonymous is a span context without what is random: only whether it is there.
func anonymous(s trace.SpanContext) trace.SpanContext {
	if !s.IsValid() {
		return s
	}
	return s.WithTraceID(trace.TraceID{1}).WithSpanID(trace.SpanID{1})
}

// Where limits of spans are set, the SDK makes them.
func TestLimitsOfSpans(t *testing.T) {
	t.Setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3")
	synctest.Test(t, func(t *testing.T) {
		p, mem := mustProvider(t, ProviderOptions{})
		observer := New(Options{Provider: p, Types: typeNames})
		c, _ := connect(t, stream.Options{Observer: observer}, stream.Options{Handler: handler(p)})
		if err := ask(t.Context(), c, stream.Request{Type: typeEcho, Label: "a long label"}); err != nil {
			t.Fatal(err)
		}
		spans := mem.spans(t, p)
		if len(spans) != 1 || attributes(spans[0].Attributes)["pktsvc.request.label"] != "a l" {
			t.Errorf("%+v", spans)
		}
	})
}

// What is recorded of a request fills whole lines of the caches.
func TestRequestSize(t *testing.T) {
	if size := unsafe.Sizeof(request{}); size > 256 {
		t.Errorf("%d bytes", size)
	}
}
