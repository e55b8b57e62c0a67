package stream

import (
	"errors"
	"runtime/debug"
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
			c.flush(0)
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
	in.scope = s
	w := c.watch.Load()
	var asking *requestContext // for observers
	var chosen followers
	var shown bool
	if carried != nil {
		asking = in.carry(s, carried)
		chosen, shown = w.choose(asking, c, RoleServer, p.Channel, p.Tag, p.Type)
	} else {
		chosen, shown = w.chooseRequest(c, ch, p)
	}
	if shown {
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

// showAccepted shows the beginning of a request. asking is its context, nil if it is the
// scope alone.
func (c *Conn) showAccepted(w *watch, in *inbound, asking *requestContext, payload []byte, chosen followers) {
	if in.begun == 0 { // it was read before anybody wanted to know
		in.begun = now()
	}
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
