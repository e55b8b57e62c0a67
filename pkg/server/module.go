package server

import (
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/flight"
	"github.com/pktsvc/pktsvc/pkg/logging"
	"github.com/pktsvc/pktsvc/pkg/metrics"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Module is the whole server for an fx app. It needs a [Config], and serves what
// the value group of [AsService] holds. It provides *zap.Logger, zap.AtomicLevel,
// *prometheus.Registry, [Observation], [*PacketServer] and [*AdminServer]; an app that
// has a logger of its own puts it in place by fx.Decorate. The packet trace has a logger
// by itself, a *zap.Logger with the fx name "pktsvc.trace".
//
// It makes its logger the one that OpenTelemetry, in all of the process, tells of
// errors. The app's stop timeout must not be below [Config.StopTimeout]. See [New], which
// sees to that.
var Module = fx.Module("pktsvc",
	observationModule,
	fx.Module("admin", fx.Provide(newPages, newAdminServer)),
	fx.Module("packets",
		fx.Provide(newHealth, newCounters, newCertificates, newPacketServer),
		fx.Invoke(func(*PacketServer) {}),
	),
)

// clientModule is the part of Module that a program has use for that only calls.
var clientModule = fx.Module("pktsvc-client",
	observationModule,
	fx.Module("admin", fx.Provide(newClientPages, newAdminServer)),
)

// observationModule is what both are observed by.
var observationModule = fx.Options(
	fx.Provide(freeze, newServices, newConnectionsOf, newMemory),
	fx.Module("log", fx.Provide(newLogOutput, newLoggers, newSampling, newRecent)),
	fx.Decorate(keepRecent),
	fx.Module("metrics", fx.Provide(newRegistry)),
	observersModule,
)

// frozen is a Config that is valid and has its defaults.
type frozen struct{ Config }

func freeze(cfg Config) (frozen, error) {
	if err := cfg.Validate(); err != nil {
		return frozen{}, err
	}
	cfg.setDefaults()
	return frozen{cfg}, nil
}

func newHealth() *health { return new(health) }

// newConnectionsOf keeps to the file descriptors that there are: at that limit
// connections are refused in order, while without descriptors accepting fails, and
// so does all else.
func newConnectionsOf(cfg frozen, log *zap.Logger) *connections {
	limits := cfg.Limits
	if possible := connectionsPossible(); limits.Connections > possible {
		log.Named("server").Warn("limits.connections is lowered to what file descriptors allow (ulimit -n, LimitNOFILE)",
			zap.Int("connections", limits.Connections), zap.Int("lowered_to", possible))
		limits.Connections = possible
	}
	return newConnections(limits)
}

func newMemory(cfg frozen) *stream.Budget { return stream.NewBudget(cfg.Limits.Memory) }

type pagesParams struct {
	fx.In

	Config   frozen
	Registry *prometheus.Registry
	Level    zap.AtomicLevel
	Log      *zap.Logger
	Sampling *sampling
	Logging  *logging.Observer
	Recent   *logging.Recent
	Recorder *flight.Recorder
	Metrics  *metrics.Observer
	Services services
}

// newPages lists what the admin server of a server shows.
func newPages(in pagesParams, health *health, conns *connections) pages {
	return in.described(append(pages{
		{path: "/livez", about: "the process is alive", serve: health.probe(alive), open: true},
		{path: "/startupz", about: "every listener has been opened", serve: health.probe(started), open: true},
		{path: "/readyz", about: "new work may be sent here", serve: health.probe(ready), open: true},
		{path: "/connz", about: "open and recently closed connections (?state= name= peer= identity= reason= sort= limit= latency=)", serve: connectionLister{conns, in.Recorder}},
		{path: "/config", about: "the configuration that is in force", serve: http.HandlerFunc(in.Config.serve)},
	}, in.shared()...))
}

// newClientPages lists what that of a client shows. A client is ready as long as
// it can say so.
func newClientPages(in pagesParams) pages {
	health := newHealth()
	health.set(stateReady)
	return in.described(append(pages{
		{path: "/livez", about: "the process is alive", serve: health.probe(alive), open: true},
		{path: "/readyz", about: "the same", serve: health.probe(ready), open: true},
	}, in.shared()...))
}

func (in pagesParams) shared() pages {
	metricsPage := promhttp.InstrumentMetricHandler(in.Registry, promhttp.HandlerFor(in.Registry, promhttp.HandlerOpts{
		EnableOpenMetrics:   true,
		Registry:            in.Registry,
		MaxRequestsInFlight: 10,
		ErrorLog:            zap.NewStdLog(in.Sampling.of(in.Log.Named("metrics"))),
	}))
	return pages{
		{path: "/statz", about: "totals of requests and connections, for tools", serve: stats{in.Metrics, in.Recorder, in.Services.naming(), time.Now()}},
		{path: "/requestz", about: "requests in flight; ?state=notable recent or all (conn= peer= identity= role= label= outcome= channel= type= tag= slower_than= limit=)", serve: requestLister{in.Recorder, in.Services}},
		{path: "/tap", about: "requests as they end (the same filters, rate=)", serve: tapper{in.Recorder, in.Services}},
		{path: "/tracez", about: "rules that make requests notable; POST adds one (the same filters, every= log= span= for= count=), DELETE ?id= removes it", serve: ruler{in.Recorder, in.Services}},
		{path: "/metrics", about: "metrics, as Prometheus text or OpenMetrics", serve: metricsPage, open: true},
		{path: "/version", about: "the build that runs", serve: http.HandlerFunc(serveVersion), open: true},
		{path: "/logz", about: "the last log lines (?level= conn= tag= trace_id= text= limit=)", serve: logLister{in.Recent}},
		{path: "/log/level", about: "log level; PUT level=debug changes it", serve: in.Level},
		{path: "/log/trace", about: "packet trace by connection; PUT conn=NAME&on=true changes it, or all=true&on=true", serve: traceSwitch{in.Logging}},
		{path: "/debug/pprof/", about: "profiles", serve: http.HandlerFunc(pprof.Index)},
		{path: "/debug/pprof/cmdline", about: "command line", serve: http.HandlerFunc(pprof.Cmdline)},
		{path: "/debug/pprof/profile", about: "CPU profile (?seconds=)", serve: http.HandlerFunc(pprof.Profile)},
		{path: "/debug/pprof/symbol", about: "symbols of program counters", serve: http.HandlerFunc(pprof.Symbol)},
		{path: "/debug/pprof/trace", about: "execution trace (?seconds=)", serve: http.HandlerFunc(pprof.Trace)},
	}
}

func (cfg frozen) serve(w http.ResponseWriter, _ *http.Request) {
	text, err := cfg.YAML()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(text) // fails only when the client has gone
}

func serveVersion(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, ReadBuild()) }
