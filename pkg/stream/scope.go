package stream

import (
	"context"
	"time"
	"unsafe"
)

// scope is the parent of a handler's context: the connection's, and which request it is
// for. Whoever was given the context may keep it for ever, so that a scope is never used
// again. It has 8 bytes, and is one of a run of requests that differ in no more than that:
// with an object for each, their collection took a fifth of the serving side's time.
type scope struct {
	place uint8 // in the run
	turn  uint8 // of the reader, if the handler began there: 1 is the run's; 0: it did not

	tag, typ, flags uint16 // the low bits
}

const highBits = ^uint64(0xffff)

// run is what some requests that came one after the other have in common. It is not
// written to once the first of their handlers may run. Its scopes lie behind it.
type run struct {
	channel         *channel
	tag, typ, flags uint64 // the high bits
	turn            uint64 // the next one of the reader when the first request came
}

// The runs by length: one is made longer than the last one was where that was used up, and
// shorter where it was not used again.
type (
	run1 struct {
		run
		scopes [1]scope
	}
	run7 struct {
		run
		scopes [7]scope
	}
	run59 struct {
		run
		scopes [59]scope
	}
)

// scopes are those of a run that are not used yet. They belong to the reader.
type scopes struct {
	run  *run
	rest []scope
	used uint8 // of the run
}

// next returns the scope of a request. turn is the next one of the reader, in which the
// handler runs if it is quick. It is called by the reader.
func (ss *scopes) next(ch *channel, p *Packet, turn uint64, quick bool) *scope {
	r := ss.run
	if len(ss.rest) == 0 || r.channel != ch || r.tag != p.Tag&highBits || r.typ != p.Type&highBits || r.flags != p.Flags&highBits ||
		turn-r.turn >= 2*(1<<8-1) {
		r = ss.newRun()
		r.channel, r.tag, r.typ, r.flags, r.turn = ch, p.Tag&highBits, p.Type&highBits, p.Flags&highBits, turn
	}
	s := &ss.rest[0]
	ss.rest = ss.rest[1:]
	s.place, s.tag, s.typ, s.flags = ss.used, uint16(p.Tag), uint16(p.Type), uint16(p.Flags)
	if quick {
		s.turn = uint8((turn-r.turn)/2) + 1
	}
	ss.used++
	return s
}

func (ss *scopes) newRun() *run {
	switch {
	case ss.used == 0, ss.used == 1 && len(ss.rest) > 0:
		r := new(run1)
		ss.run, ss.rest = &r.run, r.scopes[:]
	case ss.used >= 7:
		r := new(run59)
		ss.run, ss.rest = &r.run, r.scopes[:]
	default:
		r := new(run7)
		ss.run, ss.rest = &r.run, r.scopes[:]
	}
	ss.used = 0
	return ss.run
}

// of returns the run of a scope.
//
// Scopes are made by newRun alone, as elements of the arrays that directly follow a run in
// run1, run7 and run59 (the size of run is a multiple of its alignment, which is no less
// than that of scope), and next gives each its index, which never changes. So s lies as
// many scopes behind the end of its run as its place says, and the result points to the
// beginning of the allocation that s points into.
func (s *scope) of() *run {
	return (*run)(unsafe.Add(unsafe.Pointer(s), -int(unsafe.Sizeof(run{}))-int(s.place)*int(unsafe.Sizeof(scope{}))))
}

func (s *scope) conn() *Conn { return s.of().channel.conn }

// readerTurn is the reader's turn in which the handler began, or 0.
func (s *scope) readerTurn() uint64 {
	if s.turn == 0 {
		return 0
	}
	return s.of().turn + 2*uint64(s.turn-1)
}

func (s *scope) base() context.Context { return s.conn().base }

// Deadline is the connection's: none, unless Options.BaseContext has one.
func (s *scope) Deadline() (time.Time, bool) { return s.base().Deadline() }

// Done is closed when the connection has ended, or the request before it (see ending).
func (s *scope) Done() <-chan struct{} {
	if s.ends() {
		return s.ending().Done()
	}
	return s.base().Done()
}

// Err tells why.
func (s *scope) Err() error {
	if s.ends() {
		return s.endingErr()
	}
	return s.base().Err()
}

type requestKey struct{}

// Value finds the scope itself, for RequestFromContext and call-backs, what the
// connection's context has, and what the observer knows.
func (s *scope) Value(key any) any {
	if key == (requestKey{}) {
		return s
	}
	value := s.parent().Value(key)
	if valuer := s.conn().valuer; value == nil && valuer != nil {
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
	r := s.of()
	return Request{
		Type: r.typ | uint64(s.typ), Flags: r.flags | uint64(s.flags),
		Channel: r.channel.number, Conn: r.channel.conn, Tag: r.tag | uint64(s.tag),
	}
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
