package server

import (
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/logging"
)

// Module is the whole server for an fx app. It needs a [Config], and serves what
// the value group of [AsService] holds. It provides *zap.Logger, zap.AtomicLevel,
// *prometheus.Registry, [*PacketServer] and [*AdminServer]; an app that has a
// logger of its own puts it in place by fx.Decorate. The packet trace has a logger
// by itself, a *zap.Logger with the fx name "pktsvc.trace".
//
// It makes its logger the one that OpenTelemetry, in all of the process, tells of
// errors. The app's stop timeout must not be below [Config.StopTimeout]. See [New], which
// sees to that.
var Module = fx.Module("pktsvc",
	fx.Provide(freeze),
	logModule,
	metricsModule,
	observersModule,
	adminModule,
	packetsModule,
)

var (
	logModule = fx.Module("log", fx.Provide(newLoggers, newSampling))

	metricsModule = fx.Module("metrics", fx.Provide(newRegistry, newCounters))

	adminModule = fx.Module("admin", fx.Provide(newPages, newAdminServer))

	packetsModule = fx.Module("packets",
		fx.Provide(newServices, newHealth, newConnectionsOf, newPacketServer),
		fx.Invoke(func(*PacketServer) {}),
	)
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

func newConnectionsOf(cfg frozen) *connections { return newConnections(cfg.Limits) }

type pagesParams struct {
	fx.In

	Config   frozen
	Health   *health
	Registry *prometheus.Registry
	Level    zap.AtomicLevel
	Log      *zap.Logger
	Sampling *sampling
	Logging  *logging.Observer
	Conns    *connections
	Services services
}

// newPages lists what the admin server shows.
func newPages(in pagesParams) pages {
	metrics := promhttp.InstrumentMetricHandler(in.Registry, promhttp.HandlerFor(in.Registry, promhttp.HandlerOpts{
		EnableOpenMetrics:   true,
		Registry:            in.Registry,
		MaxRequestsInFlight: 10,
		ErrorLog:            zap.NewStdLog(in.Sampling.of(in.Log.Named("metrics"))),
	}))
	return pages{
		{path: "/metrics", about: "metrics, as Prometheus text or OpenMetrics", serve: metrics, open: true},
		{path: "/livez", about: "the process is alive", serve: in.Health.probe(alive), open: true},
		{path: "/startupz", about: "every listener has been opened", serve: in.Health.probe(started), open: true},
		{path: "/readyz", about: "new work may be sent here", serve: in.Health.probe(ready), open: true},
		{path: "/connz", about: "open and recently closed connections (?state= name= peer= reason= sort= limit=)", serve: http.HandlerFunc(in.Conns.serveConnz)},
		{path: "/requestz", about: "requests in flight (?conn= tag= type= channel= role= limit=)", serve: requestLister{in.Conns, in.Services}},
		{path: "/config", about: "the configuration that is in force", serve: http.HandlerFunc(in.Config.serve)},
		{path: "/version", about: "the build that runs", serve: http.HandlerFunc(serveVersion), open: true},
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
