package logging

import (
	"context"
	"maps"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Options configure an [Observer]. The zero value writes nothing.
type Options struct {
	// Log takes all lines. Default: none are written.
	Log *zap.Logger

	// Types are the names of request types, such as [stream.Mux.Names] returns,
	// for the field method. They are read once.
	Types map[uint64]string

	// Channels are the same for channels other than 0 whose types have other names. Types
	// of a channel that is not here are called as Types has them.
	Channels map[uint64]map[uint64]string

	// IDs returns the trace and span of an event's context, and whether they are
	// sampled; only then lines carry them. It must not block. Nil: none do.
	IDs func(context.Context) (traceID, spanID string, sampled bool)

	// TraceID returns the trace of a request that has ended and is not sampled, but gets a
	// span all the same because it has failed or was slow: lines about its end carry it. It
	// must not block nor keep e. Nil, or an empty trace: none do.
	TraceID func(e *stream.Event) string

	// Fields returns further fields for the lines about a connection as a whole,
	// such as its peer's address. It must not block. At the opening the
	// connection may not be known yet to those who have been given it.
	Fields func(*stream.Conn) []zap.Field

	// Slow is the time from which on a request that was answered ok is worth a
	// warning. Zero or less: none is.
	Slow time.Duration

	// PacketTrace allows the packet trace to be switched on. While it is on, for one
	// connection or for all, all connections report every event.
	PacketTrace bool
	// TraceLog takes the lines of the packet trace. Default: Log. One of its own
	// can be at level debug while Log is not, and should not sample.
	TraceLog *zap.Logger

	// Activity is the interval of the lines about activity, see
	// [Observer.Start]. Zero or less: there are none.
	Activity time.Duration
	// ActivityConns is how many connections have a line of their own in each
	// interval, the busiest. Default 16; less than zero: none.
	ActivityConns int
}

// DefaultActivityConns is the default of Options.ActivityConns.
const DefaultActivityConns = 16

// Observer writes lines about connections. One observer serves any number of
// them. Its methods may be called concurrently.
type Observer struct {
	log   *zap.Logger
	types map[uint64]string

	channels map[uint64]map[uint64]string // of channels with types of their own
	ids      func(context.Context) (string, string, bool)
	ended    func(*stream.Event) string // their trace
	fields   func(*stream.Conn) []zap.Field
	slow     time.Duration

	conns    connections
	trace    packetTrace
	activity activity
}

var _ stream.EndObserver = (*Observer)(nil)

// New makes an observer.
func New(o Options) *Observer {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.TraceLog == nil {
		o.TraceLog = o.Log
	}
	if o.ActivityConns == 0 {
		o.ActivityConns = DefaultActivityConns
	}
	l := &Observer{
		log:      o.Log,
		types:    maps.Clone(o.Types),
		channels: maps.Clone(o.Channels),
		ids:      o.IDs,
		ended:    o.TraceID,
		fields:   o.Fields,
		slow:     o.Slow,
		trace:    packetTrace{log: o.TraceLog, allowed: o.PacketTrace},
		activity: activity{interval: o.Activity, lines: max(0, o.ActivityConns)},
	}
	l.conns.init()
	return l
}

// Events are those that lines are written about; all while the packet trace is on.
func (l *Observer) Events() stream.EventSet {
	if l.trace.active() {
		return stream.AllEvents
	}
	return stream.Events(
		stream.EventConnOpened, stream.EventConnClosed,
		stream.EventRequestDone, stream.EventRequestRejected, stream.EventRequestDropped,
		stream.EventCallDone, stream.EventCallLate, stream.EventCallUnknown,
	)
}

// Begin writes a line of the packet trace. It adds nothing to the context.
func (l *Observer) Begin(ctx context.Context, e *stream.Event) context.Context {
	if l.trace.on(e.Conn) {
		l.traceLine(ctx, e)
	}
	return ctx
}

// ObserveEnds writes the lines about requests that were answered ok, of which few have
// one.
func (l *Observer) ObserveEnds(c *stream.Conn, role stream.Role, ends []stream.End) {
	all := l.trace.on(c) || l.log.Core().Enabled(zapcore.DebugLevel)
	for i := range ends {
		if e := &ends[i]; all || l.isSlow(e.Duration) {
			l.Observe(context.Background(), e.Event(c, role))
		}
	}
}

// Observe writes the lines about an event.
func (l *Observer) Observe(ctx context.Context, e *stream.Event) {
	if l.trace.on(e.Conn) {
		l.traceLine(ctx, e)
	}
	switch e.Kind {
	case stream.EventConnOpened:
		l.conns.add(e.Conn)
		if l.trace.active() { // which may have been switched on since the connection has asked
			e.Conn.AskObserver()
		}
		l.connOpened(e)
	case stream.EventConnClosed:
		l.conns.remove(e.Conn)
		if l.trace.forget(e.Conn) {
			l.askAgain()
		}
		l.connClosed(e)
	case stream.EventRequestDone, stream.EventRequestRejected:
		l.requestDone(ctx, e)
	case stream.EventCallDone:
		l.callDone(ctx, e)
	case stream.EventRequestDropped:
		l.request(ctx, e, zapcore.InfoLevel, "request came after this side's end and is dropped")
	case stream.EventCallLate:
		l.request(ctx, e, zapcore.DebugLevel, "response came too late and is dropped")
	case stream.EventCallUnknown:
		l.request(ctx, e, zapcore.WarnLevel, "response answers no request and is dropped")
	}
}
