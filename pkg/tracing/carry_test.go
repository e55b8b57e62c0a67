package tracing

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// The span of a sampled call is the parent of that of the other side, which has its own
// provider, or is linked where peers are not trusted; baggage arrives in any case.
func TestSpansTravel(t *testing.T) {
	for _, tt := range []struct {
		name               string
		client, server     float64 // shares that are sampled
		distrust           bool
		parent, link, span bool // of the server's span
	}{
		{name: "sampled", client: 1, server: 0, span: true, parent: true},
		{name: "not trusted", client: 1, server: 1, distrust: true, span: true, link: true},
		{name: "not trusted, not sampled", client: 1, server: 0, distrust: true},
		{name: "not sampled", client: 0, server: 0},
		{name: "sampled here alone", client: 0, server: 1, span: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, spansNear := mustProvider(t, ProviderOptions{Sampler: Ratio(tt.client)})
				far, spansFar := mustProvider(t, ProviderOptions{Sampler: Ratio(tt.server)})
				var got string
				handler := stream.HandlerFunc(func(ctx context.Context, _ stream.Request) (stream.Response, error) {
					got = baggage.FromContext(ctx).String()
					return stream.Response{}, nil
				})
				c, _ := connect(t,
					stream.Options{Extension: stream.ExtensionAsk, Observer: New(Options{Provider: near, Types: typeNames})},
					stream.Options{Observer: New(Options{Provider: far, Types: typeNames, DistrustPeers: tt.distrust}), Handler: handler})
				synctest.Wait()
				bag, err := baggage.Parse("tenant=7")
				if err != nil {
					t.Fatal(err)
				}
				if err := ask(baggage.ContextWithBaggage(t.Context(), bag), c, stream.Request{Type: typeEcho}); err != nil {
					t.Fatal(err)
				}
				if got != "tenant=7" {
					t.Errorf("baggage %q", got)
				}
				clients, servers := spansNear.spans(t, near), spansFar.spans(t, far)
				if (len(clients) == 1) != (tt.client == 1) || (len(servers) == 1) != tt.span {
					t.Fatalf("%d and %d spans", len(clients), len(servers))
				}
				if len(servers) == 0 {
					return
				}
				s := servers[0]
				if parent := s.Parent.IsValid(); parent != tt.parent || parent && (s.Parent.SpanID() != clients[0].SpanContext.SpanID() || !s.Parent.IsRemote()) {
					t.Errorf("parent %v", s.Parent)
				}
				if linked := len(s.Links) == 1; linked != tt.link || linked && s.Links[0].SpanContext.TraceID() != clients[0].SpanContext.TraceID() {
					t.Errorf("links %v", s.Links)
				}
			})
		})
	}
}

// The span of a call has what the peer tells of its part.
func TestTimesOfThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, spans := mustProvider(t, ProviderOptions{Sampler: Ratio(1)})
		far, _ := mustProvider(t, ProviderOptions{Sampler: Ratio(0)})
		k := keeper{make(chan stream.End, 2)}
		c, _ := connect(t,
			stream.Options{Extension: stream.ExtensionAsk, Observer: New(Options{Provider: near})},
			stream.Options{
				Observer: stream.Observers(New(Options{Provider: far}), k),
				Handler: stream.HandlerFunc(func(_ context.Context, req stream.Request) (stream.Response, error) {
					time.Sleep(time.Duration(req.Type) * time.Millisecond)
					return stream.Response{}, nil
				}),
			})
		synctest.Wait()
		for _, ms := range []uint64{30, 0} {
			if err := ask(t.Context(), c, stream.Request{Type: ms}); err != nil {
				t.Fatal(err)
			}
		}
		list := spans.spans(t, near)
		if len(list) != 2 {
			t.Fatalf("%d spans", len(list))
		}
		if got := attributes(list[0].Attributes); got["pktsvc.peer.waited"] != "0" || got["pktsvc.peer.handled"] != "0.03" {
			t.Errorf("%v", got)
		}
		if got := attributes(list[1].Attributes); got["pktsvc.peer.handled"] != "" {
			t.Errorf("%v, of a quick one", got)
		}
	})
}

// Without a byte on the wire, both ends know the same trace of a request that neither has
// sampled.
func TestBothEndsKnowTheSameTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, spansNear := mustProvider(t, ProviderOptions{Sampler: Ratio(0)})
		far, _ := mustProvider(t, ProviderOptions{Sampler: Ratio(0)})
		observer := New(Options{Provider: near})
		var seen trace.SpanContext
		k := keeper{make(chan stream.End, 1)}
		c, _ := connect(t,
			stream.Options{Extension: stream.ExtensionAsk, Observer: observer},
			stream.Options{
				Observer: stream.Observers(New(Options{Provider: far}), k),
				Handler: stream.HandlerFunc(func(ctx context.Context, _ stream.Request) (stream.Response, error) {
					seen = trace.SpanContextFromContext(ctx)
					return stream.Response{}, nil
				}),
			})
		synctest.Wait()
		if err := ask(t.Context(), c, stream.Request{}); err != nil {
			t.Fatal(err)
		}
		observer.Export(Ended{Conn: c.Info(), Role: stream.RoleClient, End: <-k.ends, Outcome: stream.OutcomeOK})
		if spans := spansNear.spans(t, near); len(spans) != 1 || spans[0].SpanContext.TraceID() != seen.TraceID() {
			t.Errorf("%v, the other end has %v", spans, seen)
		}
	})
}

// The identities are those that the document says.
func TestSharedIdentity(t *testing.T) {
	high, low := sharedKey(0, 1, 2, 3), sharedKey(1, 1, 2, 3)
	got := traceIDOf(high.half(4), low.half(4)).String()
	if want := "ebc9a698485a8c462d834f0792b41b51"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestParseTrace(t *testing.T) {
	s := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 15: 2}, SpanID: trace.SpanID{3, 7: 4}, TraceFlags: 1, Remote: true})
	b := appendTrace(nil, s)
	if got := parseTrace(b, ""); !got.Equal(s) {
		t.Errorf("%v, want %v", got, s)
	}
	for i := range b {
		wrong := slices.Clone(b)
		wrong[i] ^= 0xff
		_ = parseTrace(wrong, "=")
	}
	for _, wrong := range [][]byte{nil, b[:28], append(slices.Clone(b), 0), make([]byte, 29)} {
		if parseTrace(wrong, "").IsValid() {
			t.Errorf("%x is a trace", wrong)
		}
	}
}
