package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
	"github.com/pktsvc/pktsvc/pkg/tracing"
)

// trace makes a span of one call, if the environment asks for spans, and learns
// the trace's id.
type trace struct {
	provider *tracing.Provider
	stderr   io.Writer
	id       string // empty if there is no span
}

func newTrace(ctx context.Context, stderr io.Writer) (*trace, error) {
	o := tracing.ProviderOptions{Service: "pktsvc", Version: server.ReadBuild().Version}
	if os.Getenv("OTEL_TRACES_EXPORTER") == "console" {
		// Standard output belongs to the payload.
		var err error
		if o.Exporter, err = stdouttrace.New(stdouttrace.WithWriter(stderr)); err != nil {
			return nil, err
		}
	}
	provider, err := tracing.NewProvider(ctx, o)
	if err != nil {
		return nil, err
	}
	return &trace{provider: provider, stderr: stderr}, nil
}

// observer returns what the call's connection is observed by; nil without spans.
func (t *trace) observer() stream.Observer {
	if !t.provider.Enabled() {
		return nil
	}
	spans := tracing.New(tracing.Options{Provider: t.provider, Types: diag.Mux().Names()})
	return stream.Observers(spans, t) // in this order: t sees the span's context
}

// Events says that t wants to see the call begin.
func (*trace) Events() stream.EventSet { return stream.Events(stream.EventCallBegin) }

// Begin runs in the goroutine that makes the call, which is the only one.
func (t *trace) Begin(ctx context.Context, _ *stream.Event) context.Context {
	t.id, _ = tracing.TraceID(ctx)
	return ctx
}

// Observe is never called.
func (*trace) Observe(context.Context, *stream.Event) {}

// end exports the span, if that does not take long.
func (t *trace) end() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		fmt.Fprintf(t.stderr, "the trace was not exported: %v\n", err)
	}
}
