package tracing

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// keeper keeps the ends of requests.
type keeper struct{ ends chan stream.End }

func (keeper) Events() stream.EventSet                                        { return stream.Events(stream.EventRequestDone) }
func (keeper) Begin(ctx context.Context, _ *stream.Event) context.Context     { return ctx }
func (keeper) Observe(context.Context, *stream.Event)                         {}
func (k keeper) ObserveEnds(_ *stream.Conn, _ stream.Role, ends []stream.End) { k.ends <- ends[0] }

// A request that was not sampled gets a span after its end, with its true times, in the
// trace that its handler has seen.
func TestExportAfterTheEnd(t *testing.T) {
	for _, records := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			p, mem := mustProvider(t, ProviderOptions{Sampler: sdktrace.NeverSample()})
			p.records = records
			observer := New(Options{Provider: p, Types: typeNames})
			k := keeper{make(chan stream.End, 1)}
			var seen trace.SpanContext
			var server *stream.Conn
			handler := stream.HandlerFunc(func(ctx context.Context, req stream.Request) (stream.Response, error) {
				seen, server = trace.SpanContextFromContext(ctx), req.Conn
				time.Sleep(3 * time.Second)
				return stream.Response{}, nil
			})
			c, _ := connect(t, stream.Options{}, stream.Options{Observer: stream.Observers(observer, k), Handler: handler})
			begun := time.Now()
			if err := ask(t.Context(), c, stream.Request{Type: typeEcho, Payload: []byte("abc")}); err != nil {
				t.Fatal(err)
			}
			end := <-k.ends
			if spans := mem.spans(t, p); len(spans) != 0 {
				t.Fatalf("%v, before there is to be one", spans)
			}
			id := observer.Export(Ended{
				Conn: server.Info(), Role: stream.RoleServer, End: end, Outcome: stream.OutcomeRejected,
				Rejection: stream.RejectHandler, Err: errors.New("oh"), Because: "slow",
			})
			spans := mem.spans(t, p)
			if len(spans) != 1 {
				t.Fatalf("%d spans", len(spans))
			}
			s := spans[0]
			if s.SpanContext.TraceID() != seen.TraceID() || s.SpanContext.SpanID() != seen.SpanID() || id != seen.TraceID().String() || !s.SpanContext.IsSampled() {
				t.Errorf("it is %v (%s), the handler has seen %v", s.SpanContext, id, seen)
			}
			if !s.StartTime.Equal(begun) || s.EndTime.Sub(s.StartTime) != 3*time.Second || s.SpanKind != trace.SpanKindServer || s.Name != "Echo" {
				t.Errorf("%+v", s)
			}
			got := attributes(s.Attributes)
			if got["pktsvc.notable_because"] != "slow" || got["pktsvc.request.size"] != "3" || got["pktsvc.tag"] != "2" || got["error.type"] != "handler_error" {
				t.Errorf("%v", got)
			}
			if s.Status.Code != codes.Error || s.Status.Description != "oh" {
				t.Errorf("%+v", s.Status)
			}
			if names := eventNames(s); !slices.Contains(names, "pktsvc.request.handled") || !slices.Contains(names, "pktsvc.response.written") {
				t.Errorf("events %v", names)
			}
		})
	}
}

// Where nothing is exported nothing is.
func TestExportWithoutProvider(t *testing.T) {
	p, err := NewProvider(t.Context(), ProviderOptions{Mode: Off})
	if err != nil {
		t.Fatal(err)
	}
	if id := New(Options{Provider: p}).Export(Ended{}); id != "" {
		t.Error(id)
	}
}
