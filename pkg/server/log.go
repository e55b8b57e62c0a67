package server

import (
	"fmt"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pktsvc/pktsvc/pkg/logging"
)

type loggers struct {
	fx.Out

	Log   *zap.Logger
	Level zap.AtomicLevel // of Log

	// Trace writes every line of the packet trace, whatever the level of Log, so
	// that one connection can be traced without the debug lines of all.
	Trace *zap.Logger `name:"pktsvc.trace"`
}

// newLogOutput writes to standard error, since standard output may carry packets.
func newLogOutput(r *prometheus.Registry) (*logging.Output, error) {
	o := logging.NewOutput(os.Stderr, 0)
	return o, r.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "pktsvc_log_lines_lost_total",
		Help: "Log lines that could not be written: standard error took no more, or failed.",
	}, func() float64 { return float64(o.Lost()) }))
}

// newLoggers makes the loggers. They do not sample: where peers can cause lines,
// see sampling.
func newLoggers(cfg frozen, output *logging.Output, recent *logging.Recent, life fx.Lifecycle) (loggers, error) {
	level, err := zapcore.ParseLevel(cfg.Log.Level)
	if err != nil {
		return loggers{}, fmt.Errorf("log.level: %w", err)
	}
	o := logging.LoggerOptions{Level: level, Encoding: cfg.Log.Format, Output: output, SampleInterval: -1}
	log, err := logging.NewLogger(o)
	if err != nil {
		return loggers{}, err
	}
	o.Level = zapcore.DebugLevel
	trace, err := logging.NewLogger(o)
	if err != nil {
		return loggers{}, err
	}
	life.Append(fx.StopHook(func() { _ = output.Sync() })) // who does not read in time has lost them
	return loggers{Log: keepRecent(log.Unsampled, recent), Level: log.Level, Trace: trace.Unsampled.Named("trace")}, nil
}

func newRecent(cfg frozen) *logging.Recent { return logging.NewRecent(cfg.Log.Recent) }

// keepRecent has the last lines kept for /logz. It is used for our logger, which
// the app's services may have, too, and again for what the server itself uses,
// which may be another that the app has put in its place.
func keepRecent(log *zap.Logger, recent *logging.Recent) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		if _, ok := core.(keptCore); ok {
			return core
		}
		return keptCore{zapcore.NewTee(core, recent.Core(core))}
	}))
}

// keptCore is one whose lines are kept already.
type keptCore struct{ zapcore.Core }

func (k keptCore) With(fields []zapcore.Field) zapcore.Core { return keptCore{k.Core.With(fields)} }

// sampling makes loggers for lines that peers can cause, and counts what they
// leave out.
type sampling struct{ dropped *prometheus.CounterVec }

func newSampling(r *prometheus.Registry) (*sampling, error) {
	s := &sampling{dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pktsvc_log_lines_dropped_total",
		Help: "Log lines that were not written since there were too many alike, by level.",
	}, []string{"level"})}
	for _, level := range logLevels {
		s.dropped.WithLabelValues(level) // shown from the start
	}
	return s, r.Register(s.dropped)
}

// of lets the first lines with the same message through in each second, and then
// only some.
func (s *sampling) of(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core,
			logging.DefaultSampleInterval, logging.DefaultSampleFirst, logging.DefaultSampleThereafter,
			zapcore.SamplerHook(func(e zapcore.Entry, d zapcore.SamplingDecision) {
				if d&zapcore.LogDropped != 0 {
					s.dropped.WithLabelValues(e.Level.String()).Inc()
				}
			}))
	}))
}
