package logging

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Defaults of [LoggerOptions].
const (
	DefaultSampleInterval   = time.Second
	DefaultSampleFirst      = 100
	DefaultSampleThereafter = 100
)

// LoggerOptions configure [NewLogger]. The zero value gives what suits
// production.
type LoggerOptions struct {
	Level    zapcore.Level       // from which on lines are written; default info
	Encoding string              // "json", the default, or "console" for people
	Output   zapcore.WriteSyncer // default: an [Output] to standard error, since standard output may carry packets

	// Sampling: of the lines with one level and message, SampleFirst are written
	// in each SampleInterval, and then every SampleThereafter-th.
	SampleInterval   time.Duration // default 1 s; less than zero: all lines are written
	SampleFirst      int           // default 100
	SampleThereafter int           // default 100
}

// Logger is a zap logger that samples and counts what it leaves out.
type Logger struct {
	*zap.Logger
	// Unsampled writes every line, at the same levels to the same place.
	Unsampled *zap.Logger
	// Level changes the level of both while they run. It is an HTTP handler.
	Level zap.AtomicLevel

	dropped [numLevels]atomic.Uint64
}

const numLevels = int(zapcore.FatalLevel-zapcore.DebugLevel) + 1

// NewLogger makes a logger. The error, if any, names the option that is wrong.
func NewLogger(o LoggerOptions) (*Logger, error) {
	if o.Level < zapcore.DebugLevel || o.Level > zapcore.FatalLevel {
		return nil, fmt.Errorf("logging: LoggerOptions.Level is %d, want %d (debug) to %d (fatal)", o.Level, zapcore.DebugLevel, zapcore.FatalLevel)
	}
	if o.SampleFirst < 0 || o.SampleThereafter < 0 {
		return nil, fmt.Errorf("logging: LoggerOptions.SampleFirst and SampleThereafter are %d and %d, want 0 for the default or more", o.SampleFirst, o.SampleThereafter)
	}
	encoder, err := newEncoder(o.Encoding)
	if err != nil {
		return nil, err
	}
	orDefault(&o.SampleInterval, DefaultSampleInterval)
	orDefault(&o.SampleFirst, DefaultSampleFirst)
	orDefault(&o.SampleThereafter, DefaultSampleThereafter)
	if o.Output == nil {
		o.Output = NewOutput(os.Stderr, 0)
	}
	l := &Logger{Level: zap.NewAtomicLevelAt(o.Level)}
	core := zapcore.NewCore(encoder, o.Output, l.Level)
	l.Unsampled = zap.New(core, zap.ErrorOutput(o.Output))
	l.Logger = l.Unsampled
	if o.SampleInterval > 0 {
		sampler := zapcore.NewSamplerWithOptions(core, o.SampleInterval, o.SampleFirst, o.SampleThereafter, zapcore.SamplerHook(l.count))
		l.Logger = l.Unsampled.WithOptions(zap.WrapCore(func(zapcore.Core) zapcore.Core { return sampler }))
	}
	return l, nil
}

func newEncoder(encoding string) (zapcore.Encoder, error) {
	c := zap.NewProductionEncoderConfig()
	c.TimeKey = "time"
	c.EncodeDuration = zapcore.StringDurationEncoder
	switch encoding {
	case "", "json":
		c.EncodeTime = zapcore.RFC3339NanoTimeEncoder
		return zapcore.NewJSONEncoder(c), nil
	case "console":
		c.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		c.EncodeLevel = zapcore.CapitalLevelEncoder
		return zapcore.NewConsoleEncoder(c), nil
	}
	return nil, fmt.Errorf("logging: LoggerOptions.Encoding is %q, want json or console", encoding)
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (l *Logger) count(e zapcore.Entry, d zapcore.SamplingDecision) {
	if d&zapcore.LogDropped != 0 && e.Level >= zapcore.DebugLevel && e.Level <= zapcore.FatalLevel {
		l.dropped[e.Level-zapcore.DebugLevel].Add(1)
	}
}

// Dropped is how many lines of a level sampling has left out, up to now.
func (l *Logger) Dropped(level zapcore.Level) uint64 {
	if level < zapcore.DebugLevel || level > zapcore.FatalLevel {
		return 0
	}
	return l.dropped[level-zapcore.DebugLevel].Load()
}
