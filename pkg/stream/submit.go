package stream

import (
	"context"
	"fmt"
	"time"
)

// Call sends a request and waits for its response. A request that is not
// answered ok gives an [*Error]: rejected by the peer, given up because ctx
// ended, lost with the connection, or refused on this side. When ctx ends Call
// returns at once. It also waits, within ctx, while too much is queued or in
// flight (Options.SendBuffer, Options.MaxInFlight).
//
// The response's payload belongs to the caller; it is in req.Buffer if that was
// large enough. req.Payload is not used after Call has returned.
func (c *Conn) Call(ctx context.Context, req Request) (Response, error) {
	call := c.newCall()
	call.fill(c, &req)
	if err := c.submit(ctx, call, req.Payload); err != nil {
		c.recycle(call)
		return Response{}, err
	}
	if ctx.Done() == nil {
		<-call.done
	} else {
		select {
		case <-call.done:
		case <-ctx.Done():
			if c.giveUp(call, ctx.Err()) {
				<-call.done
				return Response{}, call.err // not recycled: the table still names it
			}
			<-call.done // it was being settled
		}
	}
	resp, err := call.resp, call.err
	c.recycle(call)
	return resp, err
}

// Submit sends a request and returns without waiting for its response; it waits
// only, within ctx, while too much is queued or in flight. When ctx ends before
// the response is there, the call is given up, as by [Call.Cancel].
func (c *Conn) Submit(ctx context.Context, req Request) (*Call, error) {
	call := &Call{done: make(chan struct{})}
	call.fill(c, &req)
	if err := c.submit(ctx, call, req.Payload); err != nil {
		return nil, err
	}
	return call, nil
}

// Go sends a request like Submit and calls done with its outcome: the form that
// costs the least. (Through a client: on the connection of [Client.Open].) done runs on
// the connection's reader, or in Go itself when the request is refused: it must
// not block. It may submit further requests only by Go, which then waits for
// nothing: how many they become is up to done. A nil done is fine.
func (c *Conn) Go(ctx context.Context, req Request, done func(Response, error)) {
	if done == nil {
		done = func(Response, error) {}
	}
	call := goPool.Get().(*Call)
	call.notify = done
	call.fill(c, &req)
	if err := c.submit(ctx, call, req.Payload); err != nil {
		done(Response{}, err)
	}
}

func (call *Call) fill(c *Conn, req *Request) {
	call.conn = c
	call.channel, call.typ, call.flags = req.Channel, req.Type, req.Flags
	call.size, call.label, call.resp.Payload = len(req.Payload), req.Label, req.Buffer
}

// timedCalls are events for which it is noted when a call begins.
const timedCalls = EventSet(1<<EventCallDone | 1<<EventCallBegin)

// submit gives the call a tag and queues its packet. An error means that the
// call was refused, has been reported, and is in no table.
func (c *Conn) submit(ctx context.Context, call *Call, payload []byte) error {
	if c.role.turn.Load()%2 == 1 {
		c.handOver(ctx)
	}
	call.ctx = ctx
	p := Packet{Kind: KindRequest, Channel: call.channel, Flags: call.flags, Type: call.typ, Payload: payload}
	w := c.watch.Load()
	if w.wants&timedCalls != 0 {
		if chosen, shown := w.chooseCall(ctx, c, call); shown {
			c.showBegin(w, call, payload, chosen)
		}
	}
	var carried *Metadata
	var deadline time.Time
	if c.ext.has(FeatureMetadata) {
		carried, deadline = c.carry(call)
	}
	ch, err := c.checkRequest(&p)
	if err != nil {
		return c.refuse(call, OutcomeRefused, err)
	}
	if err := ctx.Err(); err != nil {
		return c.refuse(call, ctxOutcome(err), err)
	}
	if !call.pooled && ctx.Done() != nil {
		// Before mu is held (see waitTurn): what ends until the call is in the table is
		// noted in the call.
		call.stop = context.AfterFunc(ctx, func() { c.contextEnded(ctx, call) })
	}

	if w.wants&timedCalls != 0 && call.begun == 0 {
		c.lockBegin(call)
	} else {
		c.mu.Lock()
	}
	if err := c.refusal(ctx); err != nil {
		c.mu.Unlock()
		return c.refuse(call, OutcomeRefused, err)
	}
	if call.notify == nil || !c.out.notifying { // else on the reader, or at the same time: nobody waits
		waited, err := c.waitForCall(ctx, call) // may let go of mu and take it again
		if waited {
			call.waited = call.begun.until(now())
		}
		if err != nil {
			c.mu.Unlock()
			if ctx.Err() != nil {
				return c.refuse(call, ctxOutcome(ctx.Err()), fmt.Errorf("it waited to be sent: %w", err))
			}
			return c.refuse(call, OutcomeRefused, err)
		}
	}
	if call.givenUp {
		c.mu.Unlock()
		return c.refuse(call, ctxOutcome(ctx.Err()), ctx.Err())
	}
	p.Tag = ch.nextTag
	ch.nextTag++
	call.tag, call.start, call.queued = p.Tag, c.out.queued, true
	ch.calls.put(p.Tag, call)
	c.inFlight++
	c.stats.CallsSent++
	resume := c.dispatch.paused
	if carried != nil {
		c.queueCarried(carried, deadline, &p)
	}
	mustFlush := c.queuePacket(&p)
	call.sent = c.out.pending.sent
	label, followers, eventCtx := call.label, call.followers, call.ctx // the call itself may be answered from here on, and gone
	c.mu.Unlock()

	if resume {
		c.resumeReading()
	}
	if carried != nil {
		c.observeControls()
	}
	if w := c.watch.Load(); w.wants&(1<<EventCallSubmitted|1<<EventPacketQueued) != 0 {
		c.showSubmitted(eventCtx, w, &p, label, followers)
	}
	if mustFlush {
		c.flushAsCaller()
	}
	return nil
}

// lockBegin takes mu and notes that the call begins now: before it waits for others, but
// where nobody has mu, afterwards. Both a lock and a look at the clock wait for whatever
// memory the processor has asked for; one right after the other they wait once.
func (c *Conn) lockBegin(call *Call) {
	if c.mu.TryLock() {
		call.begun = c.out.looks.begin()
		return
	}
	call.begun = now()
	c.mu.Lock()
}

// showBegin and showSubmitted are apart from submit, so that it needs little of a stack.
func (c *Conn) showBegin(w *watch, call *Call, payload []byte, chosen followers) {
	call.begun = now()
	e := call.event(EventCallBegin)
	e.Time, e.Packet.Payload = call.begun.time(), payload
	call.ctx, call.followers = c.begin(call.ctx, w, e, chosen)
}

func (c *Conn) showSubmitted(ctx context.Context, w *watch, p *Packet, label string, f followers) {
	if w.wantsOf(EventCallSubmitted, f) {
		c.observe(ctx, &Event{
			Kind: EventCallSubmitted, Label: label, Packet: *p, payload: len(p.Payload), Followed: f != 0, followers: f,
		})
	}
	c.observePacket(ctx, EventPacketQueued, p)
}

// checkRequest says whether a request can be sent at all.
func (c *Conn) checkRequest(p *Packet) (*channel, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	if n := p.over(c.opts.MaxPacket); n > 0 {
		return nil, fmt.Errorf("a packet of %d bytes is over Options.MaxPacket, %d", n, c.opts.MaxPacket)
	}
	ch := c.channel(p.Channel)
	if ch == nil {
		if reservedChannel(p.Channel) {
			return nil, fmt.Errorf("channel %d is reserved", p.Channel)
		}
		return nil, fmt.Errorf("unknown channel %d: name it in Options.Channels", p.Channel)
	}
	return ch, nil
}

// refusal says why no request can be submitted now, or nil. mu is held.
func (c *Conn) refusal(ctx context.Context) error {
	l := &c.life
	switch {
	case c.ext.peerStopped:
		return ErrGoingAway
	case l.receiveEnded || l.dead: // no answer could come
		if l.cause != nil {
			return l.cause
		}
		if l.peerFirst {
			return ErrPeerEnded
		}
		return ErrClosed
	case l.requestsEnded && !l.ending && !l.halfClosing:
		return ErrRequestsEnded
	case l.requestsEnded:
		return ErrClosed
	case l.ending || l.halfClosing:
		// Handlers that still run may finish their call-backs.
		if c.inHandler(ctx) {
			return nil
		}
		return ErrClosed
	}
	return nil
}

// refuse reports a call that was never queued.
func (c *Conn) refuse(call *Call, outcome Outcome, cause error) error {
	if call.stop != nil {
		call.stop()
	}
	err := call.fail(outcome, cause)
	if c.watch.Load().wantsOf(EventCallDone, call.followers) {
		at := now()
		if call.begun == 0 {
			call.begun = at
		}
		e := call.event(EventCallDone)
		e.Outcome, e.Err, e.Time, e.Duration = outcome, err, at.time(), call.begun.until(at)
		c.observe(call.ctx, e)
	}
	return err
}

// contextEnded gives a call up by its context.
func (c *Conn) contextEnded(ctx context.Context, call *Call) {
	c.mu.Lock()
	queued := call.queued
	if !queued {
		call.givenUp = true // submit looks
	}
	c.mu.Unlock()
	if queued {
		c.giveUp(call, ctx.Err())
	}
}

// giveUp settles a call whose caller waits no longer. It reports whether it did
// so; false means that somebody else settles it. The call stays in the table,
// so that its late response is known, and goes on counting as in flight.
func (c *Conn) giveUp(call *Call, cause error) bool {
	c.mu.Lock()
	ch := c.channel(call.channel)
	if ch == nil || ch.calls.get(call.tag) != call || call.givenUp {
		c.mu.Unlock()
		return false
	}
	call.givenUp = true
	c.life.givingUp++
	call.resp.Payload = nil
	c.givenUp++
	c.tellCancelled(call)
	c.advance()
	flush := c.mustFlush()
	c.mu.Unlock()
	c.observeControls()
	if flush {
		c.flushAsCaller()
	}
	err := call.fail(ctxOutcome(cause), cause)
	err.Sent = true // what is queued is not taken back
	call.settle(0, err.Outcome, Response{}, err)
	c.mu.Lock()
	c.life.givingUp--
	c.maybeDone()
	c.mu.Unlock()
	return true
}
