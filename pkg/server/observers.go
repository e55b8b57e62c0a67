package server

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/metrics"
	"github.com/pktsvc/pktsvc/pkg/stream"
	"github.com/pktsvc/pktsvc/pkg/tracing"
)

var observersModule = fx.Module("observers", fx.Provide(newProvider, newTracing, newMetrics, newObservation))

// observation is what every connection is observed by.
type observation struct{ stream.Observer }

type observationParams struct {
	fx.In

	Tracing *tracing.Observer
	Metrics *metrics.Observer
	Others  []stream.Observer `group:"pktsvc.observers"`
}

// newObservation combines all observers. Tracing comes first: the context that
// it makes is seen by those behind it.
func newObservation(in observationParams) observation {
	all := []stream.Observer{in.Tracing, in.Metrics}
	return observation{stream.Observers(append(all, in.Others...)...)}
}

func newMetrics(r *prometheus.Registry, services services, provider *tracing.Provider) (*metrics.Observer, error) {
	o := metrics.Options{Types: services.names()}
	if provider.Enabled() {
		o.TraceID = tracing.TraceID
	}
	return metrics.New(r, o)
}

func newTracing(services services, provider *tracing.Provider, conns *connections) *tracing.Observer {
	return tracing.New(tracing.Options{
		Provider: provider,
		Types:    services.names(),
		Attributes: func(conn *stream.Conn) []attribute.KeyValue {
			if c := conns.named(conn.Name()); c != nil {
				return tracing.AddressAttributes(c.local, c.remote)
			}
			return nil
		},
	})
}

var tracingModes = map[string]tracing.Mode{"auto": tracing.Auto, "on": tracing.On, "off": tracing.Off}

// newProvider sets tracing up, and flushes it at the end in a time of its own.
func newProvider(cfg frozen, log *zap.Logger, life fx.Lifecycle) (*tracing.Provider, error) {
	log = sampled(log.Named("tracing"))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("tracing has a problem", zap.Error(err)) }))
	provider, err := tracing.NewProvider(context.Background(), tracing.ProviderOptions{
		Mode:    tracingModes[cfg.Tracing.Enabled],
		Service: cfg.Tracing.Service,
		Version: ReadBuild().Version,
	})
	if err != nil {
		return nil, err
	}
	life.Append(fx.StopHook(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, cfg.Drain.Telemetry)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			log.Warn("the last traces have not left", zap.Duration("budget", cfg.Drain.Telemetry), zap.Error(err))
		}
	}))
	return provider, nil
}
