// Package tracing makes an OpenTelemetry span for each request of package
// stream, on the side that asks (kind client) and on the side that answers (kind
// server).
//
// A [Provider] is the OpenTelemetry SDK set up from the OTEL_* variables of the
// environment, and an [Observer] uses it, or any other tracer provider:
//
//	provider, err := tracing.NewProvider(ctx, tracing.ProviderOptions{Service: "greeter"})
//	defer provider.Shutdown(ctx)
//	observer := tracing.New(tracing.Options{Provider: provider, Types: mux.Names()})
//	conn, err := stream.NewConn(s, stream.Options{Handler: mux, Observer: observer})
//
// A handler's context carries the span of its request, so spans that the handler
// makes, and calls that it makes with this context, are children of it. Spans of
// the two ends of a connection are in one trace only where both know the same
// parent: nothing about traces crosses the wire.
//
// Whether a request is sampled is decided before anything is built: a request
// that is not costs no span and no attributes. With a Provider the sampler
// itself is asked, once for each request. With another tracer provider a request
// with a parent follows its parent, and others are left to that provider.
//
// Spans are named by the request type, as Options.Types has it, and follow the
// semantic conventions for RPC. What is of this protocol alone is in the
// namespace pktsvc.
package tracing
