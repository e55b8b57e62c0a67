package stream

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// inbound is an accepted request. It is used again for another one when it is
// answered, so that nothing that outlives it may name it; its scope may.
type inbound struct {
	inboundUse

	conn    *Conn
	payload *buffer
	run     func() // serves it; made once, since a go statement with arguments allocates
}

// inboundUse is what belongs to one request, and is emptied by itself (see callUse).
type inboundUse struct {
	channel         *channel
	tag, typ, flags uint64
	size            int
	queued          bool // guarded by mu
	handler         Handler
	pace            *pace        // of the handler
	weight          int          // bytes that are counted of MaxQueuedBytes
	memory          int          // taken of the budget
	begun           moment       // when it had come, if somebody observes
	waited          atomic.Int64 // time.Duration
	answered        moment       // when its handler had ended, if that was looked at
	sent            *mark        // of its response; nil: nobody wants to know
	scope           *scope       // identity, for its context
	deadline        time.Time
	givenUp         bool            // by its caller; guarded by mu
	ending          context.Context // guarded by mu; see scope.ending
	end             func(error)     // likewise
	ctx             context.Context // of the handler and of events
	followers       followers
}

var inboundPool sync.Pool // of *inbound

func (in *inbound) request() Request {
	r := Request{Type: in.typ, Flags: in.flags, Channel: in.channel.number, Conn: in.conn, Tag: in.tag}
	if in.size > 0 {
		r.Payload = in.payload.b
	}
	return r
}

func (in *inbound) event(kind EventKind) *Event {
	e := newEvent(kind, in.size, in.followers)
	e.begun, e.sent = in.begun, in.sent
	e.Packet.Channel, e.Packet.Tag, e.Packet.Flags, e.Packet.Type = in.channel.number, in.tag, in.flags, in.typ
	return e
}

// inboundMemory is what a request is counted with while it is in flight.
func inboundMemory(weight int) int { return requestMemory + bufferCap(weight) }

// letGo gives the request's memory back, and itself.
func (in *inbound) letGo() {
	in.payload.release()
	in.conn.opts.Budget.giveBack(in.memory)
	in.inboundUse, in.conn, in.payload = inboundUse{}, nil, nil
	inboundPool.Put(in)
}

// newInbound returns an inbound to use, which may have an empty buffer. It is called by
// the reader.
func (in *input) newInbound() *inbound {
	if r := in.aside; r != nil {
		in.aside = nil
		return r
	}
	if r, ok := inboundPool.Get().(*inbound); ok {
		return r
	}
	r := new(inbound)
	r.run = func() { r.conn.serve(r) }
	return r
}

// putAside keeps a request that was answered on the reader, for the next one of the same
// batch.
func (in *input) putAside(r *inbound) {
	if in.aside != nil {
		r.letGo()
		return
	}
	r.conn.opts.Budget.giveBack(r.memory)
	r.inboundUse, r.payload = inboundUse{}, r.payload.emptied()
	in.aside = r
}

// dropAside lets go of it.
func (in *input) dropAside() {
	if in.aside != nil {
		in.aside.letGo()
		in.aside = nil
	}
}

// carry gives the request what has travelled with it.
func (in *inbound) carry(s *scope, m *Metadata) *requestContext {
	r := &requestContext{scope: s, metadata: m}
	if m.Timeout > 0 {
		r.deadline = time.Now().Add(m.Timeout)
		in.deadline = r.deadline
	}
	in.ctx = r
	return r
}
