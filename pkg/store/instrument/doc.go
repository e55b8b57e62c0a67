// Package instrument observes a store: metrics for Prometheus and spans for
// OpenTelemetry, of any [store.Backend] and of the [store.Service] before it.
//
//	observed, err := instrument.New(registry, instrument.Options{Provider: provider, TraceID: tracing.TraceID})
//	service := store.NewService(observed.Backend(backend), observed.Options(store.Options{}))
//
// It counts what the backend is asked for, not what peers ask for: those requests
// are counted by package metrics, and one of them may be none or many of these. The
// number of series does not depend on what peers send: hash codes and names of
// archives are in spans only.
//
// An operation gets a span, a child of that of its request, if the request is
// recorded from its beginning. A request that becomes notable when it ends has a
// span of its own then, but none of its operations. A sync serves many requests and
// belongs to none: it has no span; the wait for it is in that of each request.
//
// Observing an operation allocates nothing where the request is not recorded.
package instrument
