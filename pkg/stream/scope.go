package stream

import (
	"context"
	"time"
	"unsafe"
)

// scope is the parent of a handler's context: the connection's, and which request it is
// for. Whoever was given the context may keep it for ever, so that a scope is never used
// again. Each is one byte of the run that its request belongs to, its place in it: with an
// object for each, their collection took a fifth of the serving side's time.
type scope uint8

// run is what some requests that came one after the other have in common. It is not
// written to once the first of their handlers runs. Its scopes lie behind it.
type run struct {
	channel    *channel
	tag        uint64 // of the first; those of the others ascend by one
	typ, flags uint64
	turn       uint64 // of the reader with the first, and two more with each other; 0: none runs there
}

// A run is short where the one before it was.
type (
	shortRun struct {
		run
		scopes [8]scope
	}
	longRun struct {
		run
		scopes [216]scope
	}
)

var places = func() (list [len(longRun{}.scopes)]scope) {
	for i := range list {
		list[i] = scope(i)
	}
	return list
}()

// scopes are those of a run that are not used yet. They belong to the reader.
type scopes struct {
	run  *run
	rest []scope
	long bool // the next run is
}

// next returns the scope of a request whose handler runs in a turn of the reader, or, with
// 0, in none. It is called by the reader.
func (ss *scopes) next(ch *channel, p *Packet, turn uint64) *scope {
	if len(ss.rest) > 0 {
		i := uint64(ss.rest[0])
		if r := ss.run; r.tag+i == p.Tag && r.channel == ch && r.typ == p.Type && r.flags == p.Flags &&
			(turn == 0 && r.turn == 0 || r.turn != 0 && r.turn+2*i == turn) {
			s := &ss.rest[0]
			ss.rest = ss.rest[1:]
			return s
		}
		ss.long = false
	}
	if ss.long {
		r := new(longRun)
		copy(r.scopes[:], places[:])
		ss.run, ss.rest = &r.run, r.scopes[:]
	} else {
		r := new(shortRun)
		copy(r.scopes[:], places[:])
		ss.run, ss.rest = &r.run, r.scopes[:]
	}
	ss.long = true // if this one is used up
	r := ss.run
	r.channel, r.tag, r.typ, r.flags, r.turn = ch, p.Tag, p.Type, p.Flags, turn
	s := &ss.rest[0]
	ss.rest = ss.rest[1:]
	return s
}

// of returns the run of a scope.
//
// Scopes are made by next alone, as elements of the arrays in shortRun and longRun, each
// with its index as its value, which never changes. So s is as many bytes behind the
// beginning of the array, which directly follows run in both types, as its value says
// (their sizes are multiples of the alignment of run, whose last field ends it), and the
// result points to the beginning of the allocation that s points into.
func (s *scope) of() *run {
	return (*run)(unsafe.Add(unsafe.Pointer(s), -int(unsafe.Sizeof(run{}))-int(*s)))
}

func (s *scope) conn() *Conn { return s.of().channel.conn }

func (s *scope) tag() uint64 { return s.of().tag + uint64(*s) }

// turn is the reader's turn in which the handler began, or 0.
func (s *scope) turn() uint64 {
	if r := s.of(); r.turn != 0 {
		return r.turn + 2*uint64(*s)
	}
	return 0
}

func (s *scope) base() context.Context { return s.conn().base }

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
	if valuer := s.conn().valuer; value == nil && valuer != nil {
		value = valuer.Value(s.request(), key)
	}
	return value
}

// beginContext is the context of [Observer.Begin], and below what that returns. The observer
// is not asked for what it is only about to decide.
type beginContext struct {
	*scope
	begun bool // Begin has returned
}

// Value is that of the scope, if Begin has returned.
func (b *beginContext) Value(key any) any {
	if b.begun || key == (requestKey{}) {
		return b.scope.Value(key)
	}
	return b.base().Value(key)
}

// scopeOf returns the scope of the handler to which ctx was given, or nil.
func scopeOf(ctx context.Context) *scope {
	s, _ := ctx.Value(requestKey{}).(*scope)
	return s
}

// request is what is known of the request for ever.
func (s *scope) request() Request {
	r := s.of()
	return Request{Type: r.typ, Flags: r.flags, Channel: r.channel.number, Conn: r.channel.conn, Tag: s.tag()}
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
