package tracing_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/pktsvc/pktsvc/pkg/stream"
	"github.com/pktsvc/pktsvc/pkg/tracing"
)

// A span on each side of a request, and one that the handler makes below its
// own.
func Example() {
	ctx := context.Background()
	exporter := tracetest.NewInMemoryExporter() // usually left to the environment
	provider, err := tracing.NewProvider(ctx, tracing.ProviderOptions{
		Mode: tracing.On, Service: "greeter", Exporter: exporter,
	})
	if err != nil {
		panic(err)
	}
	mux := new(stream.Mux)
	mux.HandleFunc(1, "Greet", func(ctx context.Context, req stream.Request) (stream.Response, error) {
		_, span := provider.Tracer("greeter").Start(ctx, "think")
		defer span.End()
		return stream.Text("hello " + string(req.Payload)), nil
	})
	observer := tracing.New(tracing.Options{Provider: provider, Types: mux.Names()})

	near, far := net.Pipe()
	server, _ := stream.NewConn(far, stream.Options{Handler: mux, Observer: observer})
	client, _ := stream.NewConn(near, stream.Options{Observer: observer})
	resp, err := client.Call(ctx, stream.Request{Type: 1, Payload: []byte("world")})
	fmt.Printf("%s %v\n", resp.Payload, err)
	go server.Shutdown(ctx)
	client.Shutdown(ctx)
	server.Shutdown(ctx)

	provider.ForceFlush(ctx)
	var spans []string
	for _, span := range exporter.GetSpans() {
		child := ""
		if span.Parent.IsValid() {
			child = " with a parent"
		}
		spans = append(spans, fmt.Sprintf("%s span %q%s", span.SpanKind, span.Name, child))
	}
	slices.Sort(spans)
	fmt.Println(strings.Join(spans, "\n"))
	provider.Shutdown(ctx)
	// Output:
	// hello world <nil>
	// client span "Greet"
	// internal span "think" with a parent
	// server span "Greet"
}
