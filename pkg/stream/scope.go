package stream

import (
	"context"
	"time"
)

// scope is the parent of a handler's context: the connection's, and which request it
// is for. Whoever was given the context may keep it, so that a scope is never used
// again, and not written to once the handler runs.
type scope struct {
	channel         *channel
	tag, typ, flags uint64
	turn            uint64 // of the reader, if the handler began there
	begun           bool   // Observer.Begin has returned
}

// scopeSlab is how many scopes are made at once where many requests come: as many as have
// come in this read, but no more.
const scopeSlab = 16

// newScope returns the scope of a request. It is called by the reader.
func (in *input) newScope(ch *channel, p *Packet) *scope {
	if len(in.scopes) == 0 {
		in.scopes = make([]scope, max(1, min(in.packets, scopeSlab)))
	}
	s := &in.scopes[0]
	in.scopes = in.scopes[1:]
	s.channel, s.tag, s.typ, s.flags = ch, p.Tag, p.Type, p.Flags
	return s
}

func (s *scope) base() context.Context { return s.channel.conn.base }

// Deadline is the connection's: none, unless Options.BaseContext has one.
func (s *scope) Deadline() (time.Time, bool) { return s.base().Deadline() }

// Done is closed when the connection has ended.
func (s *scope) Done() <-chan struct{} { return s.base().Done() }

// Err tells why.
func (s *scope) Err() error { return s.base().Err() }

type requestKey struct{}

// Value finds the scope itself, for RequestFromContext and call-backs, what the
// connection's context has, and what the observer knows.
func (s *scope) Value(key any) any {
	if key == (requestKey{}) {
		return s
	}
	value := s.base().Value(key)
	if valuer := s.channel.conn.valuer; value == nil && valuer != nil && s.begun {
		value = valuer.Value(s.request(), key)
	}
	return value
}

// scopeOf returns the scope of the handler to which ctx was given, or nil.
func scopeOf(ctx context.Context) *scope {
	s, _ := ctx.Value(requestKey{}).(*scope)
	return s
}

// request is what is known of the request for ever.
func (s *scope) request() Request {
	return Request{Type: s.typ, Flags: s.flags, Channel: s.channel.number, Conn: s.channel.conn, Tag: s.tag}
}

// RequestFromContext returns the request that a handler's context belongs to, with its
// connection and tag, but without its payload, which the handler alone has. It serves
// code below a handler, such as the functions that [Method.Handle] registers, which
// are not given the request itself, and may be called at any time.
func RequestFromContext(ctx context.Context) (Request, bool) {
	if s := scopeOf(ctx); s != nil {
		return s.request(), true
	}
	return Request{}, false
}
