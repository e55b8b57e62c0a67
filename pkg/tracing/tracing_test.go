package tracing

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mustProvider makes a provider that is on, with an exporter in memory.
func mustProvider(t testing.TB, o ProviderOptions) (*Provider, *memory) {
	t.Helper()
	m := &memory{tracetest.NewInMemoryExporter()}
	o.Mode, o.Exporter = On, m
	p, err := NewProvider(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Shutdown(context.Background()) })
	return p, m
}

// memory keeps its spans over a shutdown.
type memory struct{ *tracetest.InMemoryExporter }

func (*memory) Shutdown(context.Context) error { return nil }

// spans returns what has ended so far, in the order of the beginnings.
func (m *memory) spans(t testing.TB, p *Provider) tracetest.SpanStubs {
	t.Helper()
	if err := p.ForceFlush(context.Background()); err != nil {
		t.Fatal(err)
	}
	list := m.GetSpans()
	slices.SortStableFunc(list, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
	return list
}

// Request types of the tests.
const (
	typeEcho = iota
	typeFail
	typePanic
	typeRefuse
	typeAskBack
	typeOwnSpan
)

var typeNames = map[uint64]string{
	typeEcho: "Echo", typeFail: "Fail", typePanic: "Panic", typeRefuse: "Refuse", typeAskBack: "AskBack", typeOwnSpan: "OwnSpan",
}

func handler(tp trace.TracerProvider) stream.Handler {
	return stream.HandlerFunc(func(ctx context.Context, req stream.Request) (stream.Response, error) {
		switch req.Type {
		case typeFail:
			return stream.Response{}, errors.New("the disk \xff is full")
		case typePanic:
			panic("on purpose")
		case typeRefuse:
			return stream.Response{}, stream.Reject("no")
		case typeAskBack:
			call, err := req.Conn.Submit(ctx, stream.Request{Type: typeEcho, Label: "back"})
			if err != nil {
				return stream.Response{}, err
			}
			return call.Wait(ctx)
		case typeOwnSpan:
			_, span := tp.Tracer("handler").Start(ctx, "own")
			span.End()
		}
		return stream.Response{Payload: req.Payload}, nil
	})
}

// connect makes two connections over a pipe that are called client and server.
func connect(t testing.TB, client, server stream.Options) (c, s *stream.Conn) {
	t.Helper()
	a, b := net.Pipe()
	client.Name, server.Name = "client", "server"
	c, err := stream.NewConn(a, client)
	if err != nil {
		t.Fatal(err)
	}
	s, err = stream.NewConn(b, server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close(); a.Close(); b.Close() })
	return c, s
}

// ask sends a request and waits for its outcome and all that follows from it.
func ask(ctx context.Context, c *stream.Conn, req stream.Request) error {
	defer synctest.Wait()
	call, err := c.Submit(ctx, req)
	if err != nil {
		return err
	}
	_, err = call.Wait(context.Background())
	return err
}

func attributes(list []attribute.KeyValue) map[string]string {
	m := make(map[string]string)
	for _, kv := range list {
		m[string(kv.Key)] = kv.Value.String()
	}
	return m
}

func wantAttributes(t *testing.T, span tracetest.SpanStub, want map[string]string) {
	t.Helper()
	got := attributes(span.Attributes)
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s span: %s is %q, want %q", span.SpanKind, k, got[k], v)
		}
		delete(got, k)
	}
	for k, v := range got {
		t.Errorf("%s span: unexpected attribute %s=%q", span.SpanKind, k, v)
	}
}

func eventNames(span tracetest.SpanStub) (names []string) {
	for _, e := range span.Events {
		names = append(names, e.Name)
	}
	return names
}

// A span on each side, each with everything that is known of the request.
func TestSpanOnBothSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, mem := mustProvider(t, ProviderOptions{})
		observer := New(Options{Provider: p, Types: typeNames, Attributes: func(c *stream.ConnInfo) []attribute.KeyValue {
			if c.Name != "client" {
				return nil
			}
			return AddressAttributes(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 7450}, &net.UnixAddr{Name: "/run/peer", Net: "unix"})
		}})
		c, _ := connect(t, stream.Options{Observer: observer}, stream.Options{Observer: observer, Handler: handler(p)})
		if err := ask(t.Context(), c, stream.Request{Type: typeEcho, Flags: 5, Label: "hello", Payload: []byte("abc")}); err != nil {
			t.Fatal(err)
		}
		spans := mem.spans(t, p)
		if len(spans) != 2 {
			t.Fatalf("%d spans, want 2", len(spans))
		}
		for _, span := range spans {
			if span.Name != "Echo" || span.Status.Code != codes.Unset || span.Parent.IsValid() || !span.SpanContext.IsSampled() {
				t.Errorf("%s span: name %q, status %v, parent %v", span.SpanKind, span.Name, span.Status, span.Parent)
			}
		}
		client, server := spans[0], spans[1]
		if client.SpanKind != trace.SpanKindClient || server.SpanKind != trace.SpanKindServer {
			client, server = server, client
		}
		common := func(more map[string]string) map[string]string {
			m := map[string]string{
				"rpc.system.name": "pktsvc", "rpc.method": "Echo", "pktsvc.channel": "0", "pktsvc.tag": "2",
				"pktsvc.request.type": "0", "pktsvc.request.flags": "5", "pktsvc.request.size": "3", "pktsvc.response.size": "3",
				"pktsvc.outcome": "ok",
			}
			for k, v := range more {
				m[k] = v
			}
			return m
		}
		wantAttributes(t, client, common(map[string]string{
			"pktsvc.conn": "client", "pktsvc.request.label": "hello",
			"server.address": "192.0.2.7", "server.port": "7450", "network.peer.address": "/run/peer",
		}))
		wantAttributes(t, server, common(map[string]string{"pktsvc.conn": "server"}))
		if got := eventNames(client); !slices.Equal(got, []string{"pktsvc.request.queued"}) {
			t.Errorf("events of the client span: %v", got)
		}
		if got := eventNames(server); !slices.Equal(got, []string{"pktsvc.request.started"}) {
			t.Errorf("events of the server span: %v", got)
		}
	})
}

func TestFailures(t *testing.T) {
	tests := []struct {
		name      string
		request   stream.Request
		errorType [2]string // client, server
		status    [2]codes.Code
		says      string // the server's status
		method    string
	}{
		{"our fault", stream.Request{Type: typeFail}, [2]string{"rejected", "handler_error"}, [2]codes.Code{codes.Error, codes.Error}, "the disk \uFFFD is full", "Fail"},
		{"panic", stream.Request{Type: typePanic}, [2]string{"rejected", "panic"}, [2]codes.Code{codes.Error, codes.Error}, "handler panicked: on purpose", "Panic"},
		{"the caller's fault", stream.Request{Type: typeRefuse}, [2]string{"rejected", "declined"}, [2]codes.Code{codes.Error, codes.Unset}, "", "Refuse"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, mem := mustProvider(t, ProviderOptions{})
				observer := New(Options{Provider: p, Types: typeNames})
				c, _ := connect(t, stream.Options{Observer: observer}, stream.Options{Observer: observer, Handler: handler(p)})
				if err := ask(t.Context(), c, tt.request); err == nil {
					t.Fatal("no error")
				}
				spans := mem.spans(t, p)
				if len(spans) != 2 {
					t.Fatalf("%d spans, want 2", len(spans))
				}
				for _, span := range spans {
					side := 0
					if span.SpanKind == trace.SpanKindServer {
						side = 1
						if span.Status.Description != tt.says {
							t.Errorf("status %q, want %q", span.Status.Description, tt.says)
						}
					}
					if got := attributes(span.Attributes)["error.type"]; got != tt.errorType[side] {
						t.Errorf("%s span: error.type %q, want %q", span.SpanKind, got, tt.errorType[side])
					}
					if span.Status.Code != tt.status[side] || span.Name != tt.method {
						t.Errorf("%s span: name %q, status %v, want %q and %v", span.SpanKind, span.Name, span.Status.Code, tt.method, tt.status[side])
					}
				}
			})
		})
	}
}

// Calls that end otherwise than by an answer.
func TestUnansweredCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, mem := mustProvider(t, ProviderOptions{})
		observer := New(Options{Provider: p})
		block := stream.HandlerFunc(func(ctx context.Context, _ stream.Request) (stream.Response, error) {
			<-ctx.Done()
			return stream.Response{}, ctx.Err()
		})
		c, s := connect(t, stream.Options{Observer: observer}, stream.Options{Observer: observer, Handler: block})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := ask(ctx, c, stream.Request{Type: 1<<64 - 2}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		call, err := c.Submit(t.Context(), stream.Request{Type: 12})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c.Close()
		<-call.Done()
		s.Close()
		if _, err := c.Submit(t.Context(), stream.Request{Type: 13}); err == nil {
			t.Fatal("submitted on a closed connection")
		}
		synctest.Wait()

		got := make(map[string]int)
		for _, span := range mem.spans(t, p) {
			a := attributes(span.Attributes)
			if span.Name != "_OTHER" || a["rpc.method"] != "_OTHER" || a["rpc.method_original"] != a["pktsvc.request.type"] {
				t.Errorf("span %q with %v", span.Name, a)
			}
			got[fmt.Sprintf("%v %s %s", span.SpanKind, a["pktsvc.request.type"], a["error.type"])]++
		}
		want := []string{
			"client 18446744073709551614 deadline", "client 12 lost", "client 13 refused",
			"server 18446744073709551614 lost", "server 12 lost",
		}
		for _, name := range want {
			if got[name] != 1 {
				t.Errorf("%d spans %q, want 1", got[name], name)
			}
		}
		if len(got) != len(want) {
			t.Errorf("spans: %v", got)
		}
	})
}

// The handler's own spans, its call-back and what is done for that, are all in
// the trace of its request, and an outer span is the parent of the call.
func TestNesting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, mem := mustProvider(t, ProviderOptions{})
		observer := New(Options{Provider: p, Types: typeNames})
		both := stream.Options{Observer: observer, Handler: handler(p)}
		c, _ := connect(t, both, both)
		ctx, outer := p.Tracer("test").Start(t.Context(), "outer")
		for _, typ := range []uint64{typeOwnSpan, typeAskBack} {
			if err := ask(ctx, c, stream.Request{Type: typ}); err != nil {
				t.Fatal(err)
			}
		}
		outer.End()
		parents := make(map[string]string)
		name := make(map[trace.SpanID]string)
		spans := mem.spans(t, p)
		for _, span := range spans {
			name[span.SpanContext.SpanID()] = fmt.Sprintf("%s %s %s", span.SpanKind, span.Name, attributes(span.Attributes)["pktsvc.conn"])
		}
		for _, span := range spans {
			parents[name[span.SpanContext.SpanID()]] = name[span.Parent.SpanID()]
		}
		want := map[string]string{
			"internal outer ":       "",
			"client OwnSpan client": "internal outer ",
			"server OwnSpan server": "",
			"internal own ":         "server OwnSpan server",
			"client AskBack client": "internal outer ",
			"server AskBack server": "",
			"client Echo server":    "server AskBack server",
			"server Echo client":    "",
		}
		if len(parents) != len(want) {
			t.Errorf("%d spans, want %d: %v", len(parents), len(want), parents)
		}
		for span, parent := range want {
			if got, exists := parents[span]; !exists || got != parent {
				t.Errorf("the parent of %q is %q (exists: %t), want %q", span, got, exists, parent)
			}
		}
		for _, span := range spans {
			if own := attributes(span.Attributes); span.Name == "AskBack" && slices.Contains(eventNames(span), "pktsvc.request.queued") != (own["pktsvc.conn"] == "client") {
				t.Errorf("the call-back has left its event in the span of the request: %v", span.Events)
			}
		}
	})
}

func TestIDs(t *testing.T) {
	p, _ := mustProvider(t, ProviderOptions{})
	ctx, span := p.Tracer("test").Start(t.Context(), "x")
	defer span.End()
	sc := span.SpanContext()
	if id, ok := TraceID(ctx); !ok || id != sc.TraceID().String() {
		t.Errorf("TraceID: %q, %t", id, ok)
	}
	if traceID, spanID, ok := IDs(ctx); !ok || traceID != sc.TraceID().String() || spanID != sc.SpanID().String() {
		t.Errorf("IDs: %q, %q, %t", traceID, spanID, ok)
	}
	for name, ctx := range map[string]context.Context{"none": t.Context(), "unsampled": trace.ContextWithSpan(t.Context(), &unsampled{traceID: newTraceID()})} {
		if id, ok := TraceID(ctx); ok || id != "" {
			t.Errorf("%s: TraceID: %q, %t", name, id, ok)
		}
		if traceID, spanID, ok := IDs(ctx); ok || traceID+spanID != "" {
			t.Errorf("%s: IDs: %q, %q, %t", name, traceID, spanID, ok)
		}
	}
}

func TestNumbersAndTexts(t *testing.T) {
	if got := number("k", 1<<63-1).Value; got.Type() != attribute.INT64 || got.AsInt64() != 1<<63-1 {
		t.Errorf("2^63-1: %v", got)
	}
	if got := number("k", 1<<64-1).Value; got.AsString() != "18446744073709551615" {
		t.Errorf("2^64-1: %v", got)
	}
	if got := clean(strings.Repeat("é", 1000)); len(got) > maxText+3 || !strings.HasSuffix(got, "...") {
		t.Errorf("a long text: %q", got)
	}
	if got := clean("a\xffb"); got != "a\uFFFDb" {
		t.Errorf("not UTF-8: %q", got)
	}
}
