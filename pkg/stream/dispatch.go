package stream

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Texts of not-ok answers (specification, sections 6 and 7).
const (
	textNoHandler     = "no request handler"
	textRequestsEnded = "requests no longer allowed"
	textCancelled     = "rejecting request: runstate.cancelled"
	textFailed        = "exception during handler"
)

var payloadFailed = []byte(textFailed) // never changed

// dispatch is the state of the peer's accepted requests. Guarded by mu.
type dispatch struct {
	active  int // accepted and not answered
	running int // handlers that run
	bytes   int // payload bytes of active requests
	waiting queue

	paused bool
	resume chan struct{} // wakes the reader; nil until it pauses for the first time
	stuck  moment        // since when they have been at their limit without one that ended; 0: they have not
}

// inbound is an accepted request. It is used again for another one when it is
// answered, so that nothing that outlives it may name it; its scope may.
type inbound struct {
	conn            *Conn
	channel         *channel
	tag, typ, flags uint64
	size            int
	queued          bool // guarded by mu
	handler         Handler
	pace            *pace // of the handler
	payload         *buffer
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

	run func() // serves it; made once, since a go statement with arguments allocates
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
	*in = inbound{run: in.run}
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
	*r = inbound{conn: r.conn, payload: r.payload.emptied(), run: r.run}
	in.aside = r
}

// dropAside lets go of it.
func (in *input) dropAside() {
	if in.aside != nil {
		in.aside.letGo()
		in.aside = nil
	}
}

// accept takes a request that was read: it is handed to a handler, queued for
// one, or rejected. It runs on the reader, and reports whether its goroutine still is
// the reader then.
func (c *Conn) accept(p *Packet) (stays bool) {
	var carried *Metadata
	if m := c.in.carried; m != nil {
		c.in.carried = nil
		if m.Channel == p.Channel && m.Tag == p.Tag {
			carried = m
		}
	}
	forbidden := c.authorized(p)
	c.mu.Lock()
	if c.out.rejections() > uncountedSend && c.opts.Budget.scarce() {
		c.mu.Unlock()
		c.end(ReasonOverload, ErrOverload)
		c.mu.Lock()
	}
	ch, reason, text := c.admit(p, len(p.Payload)+carried.size(), forbidden)
	c.stats.RequestsReceived++
	if c.life.eofQueued || c.life.dead {
		c.mu.Unlock()
		if c.wants(EventRequestDropped) {
			c.observe(c.base, &Event{Kind: EventRequestDropped, Packet: *p})
		}
		return true
	}
	if reason != RejectNone {
		answer := Packet{Kind: KindResponse, Channel: p.Channel, Tag: p.Tag, Payload: []byte(text)}
		c.out.holding = true // the reader flushes at the end of the batch
		c.stats.ResponsesSent++
		before := c.out.queued
		flush := c.queuePacket(&answer)
		c.out.pending.rejections += int(c.out.queued - before)
		c.mu.Unlock()
		if flush {
			c.flush()
		}
		if c.wants(EventRequestRejected) {
			c.observe(c.base, &Event{Kind: EventRequestRejected, Packet: *p, Outcome: OutcomeRejected, Rejection: reason, begun: c.in.at})
		}
		c.observePacket(c.base, EventPacketQueued, &answer)
		return true
	}
	in := c.in.newInbound()
	in.conn, in.channel, in.tag, in.typ, in.flags = c, ch, p.Tag, p.Type, p.Flags
	in.size, in.queued = len(p.Payload), true
	in.weight = in.size + carried.size()
	in.memory = inboundMemory(in.weight)
	in.handler, in.pace = ch.route(p.Type)
	in.begun = c.in.at
	ch.serving.put(p.Tag, in)
	c.dispatch.active++
	c.dispatch.bytes += in.weight
	ch.lastServed = max(ch.lastServed, p.Tag)
	start := c.start(in)
	room := c.sendRoom() // an answer must not wait on the reader
	c.mu.Unlock()

	if in.size > 0 {
		in.payload = in.payload.atLeast(in.size)
		in.payload.b = append(in.payload.b, p.Payload...)
	}
	quick := start && room && c.role.mayRun(in.pace)
	s := c.in.scopes.next(ch, p, c.role.nextTurn(), quick)
	in.ctx = s
	asked, asking := c.base, (*requestContext)(nil) // for observers
	if carried != nil {
		asking = in.carry(s, carried)
		asked = asking
	}
	in.scope = s
	w := c.watch.Load()
	if chosen, shown := w.choose(asked, c, RoleServer, p.Channel, p.Tag, p.Type); shown {
		c.showAccepted(w, in, asking, p.Payload, chosen)
	}
	if asking != nil {
		asking.begun = true
	}
	if quick {
		return c.serveQuick(in)
	}
	if !start {
		c.mu.Lock()
		if start = c.start(in); !start { // else others have ended meanwhile
			c.dispatch.waiting.push(in)
		}
		c.mu.Unlock()
	}
	if start {
		go in.run()
	}
	return true
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

// showAccepted shows the beginning of a request. asking is its context, nil if it is the
// scope alone.
func (c *Conn) showAccepted(w *watch, in *inbound, asking *requestContext, payload []byte, chosen followers) {
	e := in.event(EventRequestBegin)
	e.Time, e.Packet.Payload = in.begun.time(), payload
	if asking == nil {
		asking = &requestContext{scope: in.scope}
	}
	in.ctx, in.followers = c.begin(asking, w, e, chosen)
	asking.begun = true
}

// start takes one of the handlers' places for a request, if there is one. What is
// declared to be quick waits for no slow one. mu is held.
func (c *Conn) start(in *inbound) bool {
	if c.dispatch.running >= c.opts.MaxHandlers && !in.pace.isInline() {
		return false
	}
	c.dispatch.running++
	in.queued = false
	return true
}

// serve runs the handler of an accepted request, then those of requests that
// wait. It is the goroutine of a handler.
func (c *Conn) serve(in *inbound) {
	returned := false
	defer func() {
		if returned {
			return
		}
		// The handler has called runtime.Goexit: this goroutine ends, its
		// request is answered and the next go on elsewhere.
		if next := c.answer(in, Response{}, errHandlerExited, false); next != nil {
			go next.run()
		}
	}()
	for in != nil {
		var started moment
		learns := in.pace.learns()
		if learns || c.wants(EventRequestDone) {
			started = now()
			in.waited.Store(int64(in.begun.until(started)))
		}
		var resp Response
		err := c.abandoned(in)
		if err == nil {
			resp, err = c.invoke(in)
		}
		if started != 0 {
			in.answered = now()
		}
		if learns {
			in.pace.learn(started.until(in.answered))
		}
		in = c.answer(in, resp, err, false)
	}
	returned = true
}

var errHandlerExited = errors.New("the handler ended its goroutine")

// invoke calls the handler. A panic becomes an error.
func (c *Conn) invoke(in *inbound) (resp Response, err error) {
	var started moment
	if w := c.watch.Load(); w.wants&(1<<EventRequestStarted|1<<EventRequestHandled) != 0 {
		started = now()
		if w.wantsOf(EventRequestStarted, in.followers) {
			e := in.event(EventRequestStarted)
			e.Time, e.Duration = started.time(), in.begun.until(started)
			c.observe(in.ctx, e)
		}
	}
	exited := true
	defer func() {
		if v := recover(); v != nil {
			resp, err = Response{}, &PanicError{Value: v, Stack: debug.Stack()}
		} else if exited {
			err = errHandlerExited
		}
		if c.watch.Load().wantsOf(EventRequestHandled, in.followers) {
			e, at := in.event(EventRequestHandled), now()
			e.Time, e.Err, e.Size = at.time(), err, len(resp.Payload)
			e.Duration = started.until(at)
			c.observe(in.ctx, e)
		}
	}()
	resp, err = in.handler.Serve(in.ctx, in.request())
	exited = false
	if err != nil {
		// An error that cannot be looked at, such as a nil pointer, panics here,
		// where that is caught.
		_, _ = err.Error(), errors.Is(err, errUnknownType)
	}
	return resp, err
}

// response fills in the packet that answers in, which is empty, and says why it is not
// ok.
func (c *Conn) response(p *Packet, in *inbound, resp *Response, err error) (RejectReason, error) {
	p.Kind, p.OK, p.Channel, p.Tag = KindResponse, true, in.channel.number, in.tag
	p.Flags, p.Payload = resp.Flags, resp.Payload
	reason := RejectNone
	if err != nil {
		p.OK = false
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errGivenUp) || errors.Is(err, errTooLate) {
			if gone := in.conn.abandoned(in); gone != nil {
				p.Flags, p.Payload = 0, []byte(gone.Error())
				return RejectCancelled, gone
			}
		}
		if reason = p.failed(err); reason != RejectDeclined {
			return reason, err
		}
	}
	if verr := p.validate(); verr != nil {
		p.OK, p.Flags, p.Payload = false, 0, payloadFailed
		return RejectResult, verr
	}
	if n := p.over(c.opts.MaxPacket); n > 0 {
		p.OK, p.Flags, p.Payload = false, 0, payloadFailed
		return RejectResult, fmt.Errorf("a response of %d bytes is over Options.MaxPacket, %d", n, c.opts.MaxPacket)
	}
	return reason, err
}

// failed makes the response one to a handler's error, and says which kind that is.
func (p *Packet) failed(err error) RejectReason {
	rejection := (*Rejection)(nil)
	if errors.As(err, &rejection) && rejection != nil {
		p.Flags, p.Payload = rejection.Flags, rejection.Payload
		return RejectDeclined
	}
	p.Flags, p.Payload = 0, payloadFailed
	panicked := (*PanicError)(nil)
	switch {
	case errors.As(err, &panicked):
		return RejectPanic
	case errors.Is(err, errUnknownType):
		return RejectUnknownType
	case errors.Is(err, errUndecodable):
		return RejectUndecodable
	}
	return RejectHandler
}

// answer queues the one response to in, frees its tag, and returns the next
// request that waits for a handler; nil if there is none. On the reader (inline)
// it does not wait for room, which accept has seen to.
func (c *Conn) answer(in *inbound, resp Response, err error, inline bool) (next *inbound) {
	var p Packet
	reason, err := c.response(&p, in, &resp, err)
	c.mu.Lock()
	at := in.answered
	if !inline && (len(c.gate.answers) > 0 || !c.sendRoom()) {
		c.opts.Budget.force(len(p.Payload)) // it is held as long as the peer likes
		c.waitForAnswer()
		c.opts.Budget.giveBack(len(p.Payload))
		at = 0
	}
	lost := c.life.dead
	flush := false
	if !lost {
		if inline {
			c.out.holding = true
		}
		c.tellTimes(in)
		flush = c.queuePacket(&p)
		in.sent = c.out.pending.sent
		c.stats.ResponsesSent++
	}
	in.channel.serving.take(in.tag)
	c.dispatch.active--
	c.dispatch.stuck = 0
	c.dispatch.bytes -= in.weight
	end := in.end
	if c.dispatch.running <= c.opts.MaxHandlers { // else it was a quick one above the limit
		next = c.dispatch.waiting.pop()
	}
	if next != nil {
		next.queued = false
	} else {
		c.dispatch.running--
	}
	c.advance()
	flush = c.mustFlush() || flush
	resume := c.dispatch.paused
	c.mu.Unlock()

	if resume {
		c.resumeReading()
	}
	if end != nil {
		c.ext.endings.Add(-1)
		end(errAnswered)
	}
	c.reportDone(in, &p, at, reason, err, lost, inline)
	c.observeControls()
	// p may have shared the payload until here.
	if inline {
		c.in.putAside(in)
	} else {
		in.letGo()
	}
	switch {
	case !flush:
	case inline:
		if c.in.served != nil {
			c.showServed(now())
		}
		c.flush()
	default:
		c.flushAsCaller()
	}
	return next
}

// reportDone tells observers the outcome of an accepted request. at is when it had it; 0: now.
func (c *Conn) reportDone(in *inbound, p *Packet, at moment, reason RejectReason, err error, lost, inline bool) {
	w := c.watch.Load()
	listed := p.OK && !lost && in.followers == 0 && w.lists.Has(EventRequestDone)
	if listed {
		c.listDone(in, at, len(p.Payload), inline)
	}
	if listed && w.each.Has(EventRequestDone) || !listed && w.wantsOf(EventRequestDone, in.followers) {
		if at == 0 {
			at = now()
		}
		e := in.event(EventRequestDone)
		e.Time, e.Duration, e.Waited, e.Answered = at.time(), in.begun.until(at), time.Duration(in.waited.Load()), in.begun.until(at)
		if in.answered != 0 {
			e.Answered = in.begun.until(in.answered)
		}
		e.Err, e.listed = err, listed
		switch {
		case lost:
			e.Outcome = OutcomeLost
		case p.OK:
			e.Outcome, e.Size = OutcomeOK, len(p.Payload)
		default:
			e.Outcome, e.Size, e.Rejection = OutcomeRejected, len(p.Payload), reason
		}
		c.observe(in.ctx, e)
	}
	if !lost {
		c.observePacket(in.ctx, EventPacketQueued, p)
	}
}
