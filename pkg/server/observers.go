package server

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/flight"
	"github.com/pktsvc/pktsvc/pkg/logging"
	"github.com/pktsvc/pktsvc/pkg/metrics"
	"github.com/pktsvc/pktsvc/pkg/stream"
	"github.com/pktsvc/pktsvc/pkg/tracing"
)

var observersModule = fx.Module("observers", fx.Provide(newProvider, newTracing, newMetrics, newLogging, newRecorder, newObservation))

// Observation is what every connection is observed by. [Module] provides it for the
// connections that an app makes itself, such as those on which its handlers call on: with
// it as their Observer they are in the same metrics, traces, logs and listings.
//
// It is made of the names of all request types, so what an [AsService] constructor needs
// cannot need it; see examples/relay.
type Observation struct{ stream.Observer }

type observationParams struct {
	fx.In

	Config   frozen
	Tracing  *tracing.Observer
	Metrics  *metrics.Observer
	Logging  *logging.Observer
	Recorder *flight.Recorder
	Others   []stream.Observer `group:"pktsvc.observers"`
}

// newObservation combines all observers. Tracing comes first: the context that
// it makes is seen by those behind it.
func newObservation(in observationParams) Observation {
	all := []stream.Observer{in.Tracing, in.Metrics, in.Logging}
	if in.Config.Recorder.Off {
		all = append(all, onlyConns{in.Recorder})
	} else {
		all = append(all, in.Recorder.Payloads(), in.Recorder)
	}
	return Observation{stream.Observers(append(all, in.Others...)...)}
}

// onlyConns is a recorder that knows the open connections, and what is in flight on them,
// but remembers no requests.
type onlyConns struct{ recorder *flight.Recorder }

func (o onlyConns) Events() stream.EventSet {
	return stream.Events(stream.EventConnOpened, stream.EventConnClosed)
}
func (o onlyConns) Begin(ctx context.Context, _ *stream.Event) context.Context { return ctx }
func (o onlyConns) Observe(ctx context.Context, e *stream.Event)               { o.recorder.Observe(ctx, e) }

func newMetrics(r *prometheus.Registry, services services, provider *tracing.Provider) (*metrics.Observer, error) {
	o := metrics.Options{Types: services.names(), Channels: services.ofChannels()}
	if provider.Enabled() {
		o.TraceID = tracing.TraceID
	}
	return metrics.New(r, o)
}

func newTracing(cfg frozen, services services, provider *tracing.Provider, conns *connections) *tracing.Observer {
	return tracing.New(tracing.Options{
		Provider:      provider,
		DistrustPeers: cfg.Tracing.DistrustPeers,
		Types:         services.names(),
		Channels:      services.ofChannels(),
		Attributes: func(conn *stream.ConnInfo) []attribute.KeyValue {
			if c := conns.named(conn.Name); c != nil {
				return tracing.AddressAttributes(c.local, c.remote)
			}
			return nil
		},
	})
}

type loggingParams struct {
	fx.In

	Config   frozen
	Log      *zap.Logger
	Trace    *zap.Logger `name:"pktsvc.trace"`
	Sampling *sampling
	Services services
	Provider *tracing.Provider
	Tracing  *tracing.Observer
	Recorder *flight.Recorder
	Conns    *connections
	Life     fx.Lifecycle
}

// traceOfEnded is the trace of a request that the recorder finds notable by itself.
func (in loggingParams) traceOfEnded(e *stream.Event) string {
	role := stream.RoleServer
	switch e.Kind {
	case stream.EventRequestDone, stream.EventRequestRejected:
	case stream.EventCallDone:
		role = stream.RoleClient
	default:
		return ""
	}
	if slow := in.Recorder.SlowFrom(e.Packet.Type); e.Outcome == stream.OutcomeOK && (slow == 0 || e.Duration < slow) {
		return ""
	}
	return in.Tracing.ExportedTrace(e.Conn.Info(), role, e.Packet.Channel, e.Packet.Tag)
}

func newLogging(in loggingParams) (*logging.Observer, error) {
	o := logging.Options{
		Log:         in.Sampling.of(in.Log.Named("stream")),
		TraceLog:    in.Trace,
		Types:       in.Services.names(),
		Channels:    in.Services.ofChannels(),
		Slow:        in.Config.Log.Slow,
		Activity:    in.Config.Log.Activity,
		PacketTrace: in.Config.Log.Packets != packetsOff,
		Fields: func(conn *stream.Conn) []zap.Field {
			if c := in.Conns.named(conn.Name()); c != nil {
				fields := []zap.Field{zap.String("peer", c.peer), zap.String("listener", c.listener)}
				if c.identity != "" {
					fields = append(fields, zap.String("identity", c.identity))
				}
				return fields
			}
			return nil
		},
	}
	if in.Provider.Enabled() {
		o.IDs = tracing.IDs
		if !in.Config.Recorder.Off {
			o.TraceID = in.traceOfEnded
		}
	}
	l := logging.New(o)
	in.Life.Append(fx.StartStopHook(l.Start, l.Stop))
	if in.Config.Log.Packets == packetsOn {
		return l, l.SetTraceAll(true)
	}
	return l, nil
}

var tracingModes = map[string]tracing.Mode{"auto": tracing.Auto, "on": tracing.On, "off": tracing.Off}

// newProvider sets tracing up, and flushes it at the end in a time of its own.
func newProvider(cfg frozen, log *zap.Logger, sampling *sampling, r *prometheus.Registry, life fx.Lifecycle) (*tracing.Provider, error) {
	log = sampling.of(log.Named("tracing"))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("tracing has a problem", zap.Error(err)) }))
	provider, err := tracing.NewProvider(context.Background(), tracing.ProviderOptions{
		Mode:    tracingModes[cfg.Tracing.Enabled],
		Service: cfg.Tracing.Service,
		Version: ReadBuild().Version,
	})
	if err != nil {
		return nil, err
	}
	if err := r.Register(spanCounters{provider}); err != nil {
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
