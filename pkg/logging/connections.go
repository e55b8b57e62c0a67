package logging

import (
	"maps"
	"slices"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// connections are the open ones, with their counters at the last interval of
// activity.
type connections struct {
	// mu guards the fields below. It is taken before locks of connections, never
	// by somebody who holds one: the engine calls observers without its locks.
	mu     sync.Mutex
	open   map[*stream.Conn]stream.Stats
	ended  counts // of connections that have ended in this interval
	opened int    // in this interval
	closed int    // in this interval
}

func (cs *connections) init() { cs.open = make(map[*stream.Conn]stream.Stats) }

func (cs *connections) add(c *stream.Conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.open[c] = stream.Stats{}
	cs.opened++
}

func (cs *connections) remove(c *stream.Conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	last, open := cs.open[c]
	if !open {
		return
	}
	delete(cs.open, c)
	cs.closed++
	cs.ended.add(countsSince(last, c.Stats()))
}

// named returns the open connections of a name, which need not be unique.
func (cs *connections) named(name string) (list []*stream.Conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for c := range cs.open {
		if c.Name() == name {
			list = append(list, c)
		}
	}
	return list
}

// all returns the open connections.
func (cs *connections) all() []*stream.Conn {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return slices.Collect(maps.Keys(cs.open))
}

func (cs *connections) isOpen(c *stream.Conn) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	_, open := cs.open[c]
	return open
}

func (l *Observer) connOpened(e *stream.Event) {
	if line := l.log.Check(zapcore.DebugLevel, "connection opened"); line != nil {
		line.Write(l.connFields(e.Conn)...)
	}
}

func (l *Observer) connClosed(e *stream.Event) {
	level := zapcore.InfoLevel
	switch e.Reason {
	case stream.ReasonMalformed, stream.ReasonTruncated, stream.ReasonOversize, stream.ReasonNotPackets, stream.ReasonSlowConsumer:
		level = zapcore.WarnLevel
	}
	line := l.log.Check(level, "connection closed")
	if line == nil {
		return
	}
	s := e.Conn.Stats()
	fields := append(l.connFields(e.Conn),
		zap.Stringer("reason", e.Reason), zap.NamedError("cause", e.Err), zap.Duration("age", e.Duration),
		zap.Uint64("rq_in", s.RequestsReceived), zap.Uint64("rq_out", s.CallsSent),
		zap.Uint64("packets_in", s.PacketsReceived), zap.Uint64("packets_out", s.PacketsSent),
		zap.Uint64("bytes_in", s.BytesReceived), zap.Uint64("bytes_out", s.BytesSent),
		zap.Int("unanswered", s.Unanswered))
	line.Write(fields...)
}

func (l *Observer) connFields(c *stream.Conn) []zap.Field {
	fields := make([]zap.Field, 0, 16)
	fields = append(fields, zap.String("conn", c.Name()))
	if l.fields != nil {
		fields = append(fields, l.fields(c)...)
	}
	return fields
}
