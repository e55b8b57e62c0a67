package logging

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// packetTrace knows which connections are traced. While none is, no events are made for
// it.
type packetTrace struct {
	log     *zap.Logger
	allowed bool

	all atomic.Bool
	// some is nil while no connection is traced by itself. The map is never
	// changed, only replaced, by whoever holds mu.
	some atomic.Pointer[map[*stream.Conn]struct{}]
	mu   sync.Mutex
}

func (t *packetTrace) on(c *stream.Conn) bool {
	if t.all.Load() {
		return true
	}
	some := t.some.Load()
	if some == nil {
		return false
	}
	_, traced := (*some)[c]
	return traced
}

// active says whether any connection is traced.
func (t *packetTrace) active() bool { return t.all.Load() || t.some.Load() != nil }

// change replaces the set of connections that are traced by themselves.
func (t *packetTrace) change(f func(map[*stream.Conn]struct{})) {
	t.mu.Lock()
	defer t.mu.Unlock()
	set := make(map[*stream.Conn]struct{})
	if some := t.some.Load(); some != nil {
		maps.Copy(set, *some)
	}
	f(set)
	if len(set) == 0 {
		t.some.Store(nil)
	} else {
		t.some.Store(&set)
	}
}

// forget lets go of a connection that is not open any more. It reports whether that one
// was traced by itself.
func (t *packetTrace) forget(c *stream.Conn) bool {
	if !t.allowed {
		return false
	}
	t.mu.Lock() // whoever adds it at this time comes first, and is seen
	some := t.some.Load()
	t.mu.Unlock()
	if some == nil {
		return false
	}
	_, traced := (*some)[c]
	if traced {
		t.change(func(set map[*stream.Conn]struct{}) { delete(set, c) })
	}
	return traced
}

var errTraceNotAllowed = errors.New("logging: the packet trace is not allowed: set Options.PacketTrace")

// SetTrace switches the packet trace of the open connections with a name on or
// off. It ends with the connection. The lines have level debug, which the logger
// must let through. It fails if no connection with this name is open, or if
// Options.PacketTrace is not set.
func (l *Observer) SetTrace(conn string, on bool) error {
	if !l.trace.allowed {
		return errTraceNotAllowed
	}
	list := l.conns.named(conn)
	if len(list) == 0 {
		return fmt.Errorf("logging: no open connection is called %q", conn)
	}
	l.trace.change(func(set map[*stream.Conn]struct{}) {
		for _, c := range list {
			switch {
			case !on:
				delete(set, c)
			case l.conns.isOpen(c): // else it has ended meanwhile, and forget may have come already
				set[c] = struct{}{}
			}
		}
	})
	l.askAgain()
	return nil
}

// askAgain tells all connections that Events may have changed. Those that open at the same
// time see to it themselves.
func (l *Observer) askAgain() {
	for _, c := range l.conns.all() {
		c.AskObserver()
	}
}

// SetTraceAll switches the packet trace of all connections, later ones too, on
// or off. Connections that SetTrace has switched on stay so. It fails if
// Options.PacketTrace is not set.
func (l *Observer) SetTraceAll(on bool) error {
	if !l.trace.allowed {
		return errTraceNotAllowed
	}
	l.trace.all.Store(on)
	l.askAgain()
	return nil
}

// Traced reports whether all connections are traced, and the names of those that
// are traced by themselves.
func (l *Observer) Traced() (all bool, conns []string) {
	if some := l.trace.some.Load(); some != nil {
		for c := range *some {
			conns = append(conns, c.Name())
		}
		slices.Sort(conns)
	}
	return l.trace.all.Load(), conns
}

// traceLine writes about any kind of event.
func (l *Observer) traceLine(ctx context.Context, e *stream.Event) {
	line := l.trace.log.Check(zapcore.DebugLevel, e.Kind.String())
	if line == nil {
		return
	}
	var fields []zap.Field
	switch e.Kind {
	case stream.EventRequestBegin, stream.EventRequestStarted, stream.EventRequestHandled, stream.EventRequestDone,
		stream.EventRequestRejected, stream.EventRequestDropped,
		stream.EventCallBegin, stream.EventCallSubmitted, stream.EventCallDone, stream.EventCallLate:
		fields = l.requestFields(ctx, e)
	case stream.EventPacketQueued, stream.EventPacketWritten, stream.EventPacketReceived,
		stream.EventPeerEndRequests, stream.EventPeerEOF, stream.EventCallUnknown:
		p := &e.Packet
		fields = []zap.Field{
			zap.String("conn", e.Conn.Name()), zap.String("packet", p.String()),
			zap.Uint64("channel", p.Channel), zap.Uint64("tag", p.Tag),
		}
		if p.Kind == stream.KindRequest {
			fields = append(fields, zap.Uint64("type", p.Type))
		}
	default:
		fields = []zap.Field{zap.String("conn", e.Conn.Name())}
	}
	// Lines of different goroutines may overtake each other.
	fields = append(fields, zap.Time("at", e.Time))
	line.Write(append(fields, outcomeFields(e)...)...)
}
