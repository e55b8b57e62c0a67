package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// life is how far the connection's end has come. Guarded by mu; every field only
// ever goes one way.
type life struct {
	ending            bool // Shutdown, or the end after an error
	halfClosing       bool // EndSending
	requestsEnded     bool // our ERQ is queued
	eofQueued         bool // our EOF is queued, nothing comes behind it
	sendEnded         bool // our EOF is written
	lingering         bool // the peer's end is the last thing awaited
	peerRequestsEnded bool // the peer's ERQ has come
	rejectNew         bool // the time for serving new requests while draining is over
	receiveEnded      bool
	streamEnd         bool // receiving ended without an EOF packet
	peerFirst         bool // receiving ended before this side had begun to end
	dead              bool // the end has begun that nothing delays
	reported          bool // every outcome and the end itself have been reported
	readerGone        bool // the reader does not read any more
	readerLeft        bool // nor touch the stream otherwise
	readerSettles     bool // the reader tells callers the outcomes of their calls
	doneClosed        bool

	givingUp int // goroutines that tell callers that their calls were given up

	reason Reason
	cause  error

	received []func() // to be called when receiving has ended
	timers   []*time.Timer
	controls []Packet // ERQ and EOF queued and not yet reported to an observer
}

// EndRequests sends ERQ: this side asks nothing more, and goes on answering.
// Further calls are refused with [ErrRequestsEnded]; those in flight go on. It
// does not block and may be repeated (end_requests, send_erq).
func (c *Conn) EndRequests() {
	c.change(func(l *life) {
		if !l.requestsEnded && !l.dead {
			c.queueControl(&packetEndRequests)
			l.requestsEnded = true
		}
	})
}

// EndSending closes this side's direction: no new calls are taken, requests
// accepted so far are answered, then ERQ and EOF are sent (send_eof, in order).
// Receiving goes on, so calls in flight get their answers. It does not block;
// Options.DrainTimeout bounds how long new requests of the peer are served.
func (c *Conn) EndSending() {
	c.change(func(l *life) {
		if !l.halfClosing && !l.dead {
			l.halfClosing = true
			c.after(c.opts.DrainTimeout, c.stopServing)
		}
	})
}

// Shutdown ends the connection in order. New calls are refused at once, except
// those of handlers that still run; calls in flight are waited for; the peer's
// new requests are served for Options.DrainTimeout and then rejected; when
// everything accepted is answered ERQ and EOF are sent; the peer's end is awaited
// for Options.Linger.
//
// It returns nil if all that was done, else the cause of the end. When ctx ends
// first the connection is closed as by Close. It may be called any number of
// times, by anyone but a handler or an observer of the same connection, which
// would wait for itself.
func (c *Conn) Shutdown(ctx context.Context) error {
	c.shutdown(nil, ReasonNone)
	select {
	case <-c.done:
	case <-ctx.Done():
		c.end(ReasonClosed, fmt.Errorf("%w: the shutdown was cut short: %w", ErrClosed, ctx.Err()))
		<-c.done
	}
	return c.Err()
}

// Close ends the connection at once: calls in flight fail, handlers' contexts
// end, requests accepted and not answered stay so. It does not wait for
// handlers. The stream itself is left to whoever gave it. It always returns nil.
// Observers and functions given to Go must not call it.
func (c *Conn) Close() error {
	c.end(ReasonClosed, ErrClosed)
	<-c.done
	return nil
}

// shutdown begins the orderly end, for a cause if there is one.
func (c *Conn) shutdown(cause error, reason Reason) {
	c.change(func(l *life) {
		if l.ending || l.dead {
			return
		}
		l.ending = true
		c.tellGoingAway(false)
		if cause != nil {
			l.cause, l.reason = cause, reason
		}
		c.after(c.opts.DrainTimeout, c.stopServing)
	})
}

// stopServing rejects what still comes, so that what was accepted can end.
func (c *Conn) stopServing() {
	c.change(func(l *life) {
		if !l.rejectNew {
			l.rejectNew = true
			c.tellGoingAway(true)
		}
	})
}

// change applies f to the connection's life and does what follows from it.
func (c *Conn) change(f func(*life)) {
	c.mu.Lock()
	f(&c.life)
	c.advance()
	c.gate.wakeAll()
	flush := c.mustFlush()
	c.mu.Unlock()
	c.resumeReading()
	c.observeControls()
	if flush {
		c.flushAsCaller()
	}
}

// advance queues ERQ and EOF when their time has come: ERQ when nobody can
// submit any more, EOF after the last answer. mu is held; the caller flushes.
func (c *Conn) advance() {
	l := &c.life
	if l.dead || (!l.ending && !l.halfClosing) {
		return
	}
	if l.eofQueued {
		c.linger()
		return
	}
	idle := c.dispatch.active == 0
	answered := l.receiveEnded || l.halfClosing || c.inFlight == c.givenUp
	if idle && answered && !l.receiveEnded && !l.rejectNew {
		c.tellGoingAway(true) // what is on the wire will be dropped: it may be sent elsewhere
	}
	if !l.requestsEnded && (l.receiveEnded || (idle && answered)) {
		c.queueControl(&packetEndRequests)
		l.requestsEnded = true
	}
	if l.requestsEnded && idle && answered {
		c.queueControl(&packetEOF)
		l.eofQueued = true
	}
}

// queueControl queues ERQ or EOF; the write role, if it falls to us, is given
// back for the caller's mustFlush to take. mu is held.
func (c *Conn) queueControl(p *Packet) {
	if c.queuePacket(p) {
		c.out.writing = false
	}
	if c.wants(EventPacketQueued) {
		c.life.controls = append(c.life.controls, *p)
	}
}

// observeControls reports ERQ and EOF that were queued under the lock. Whoever
// has called advance calls it after letting go of mu.
func (c *Conn) observeControls() {
	if !c.wants(EventPacketQueued) {
		return
	}
	c.mu.Lock()
	list := c.life.controls
	c.life.controls = nil
	c.mu.Unlock()
	for i := range list {
		c.observePacket(c.base, EventPacketQueued, &list[i])
	}
}

// sendingEnded sees whether EOF has just been written. It returns what is to be
// done without the lock. mu is held.
func (c *Conn) sendingEnded() func() {
	l := &c.life
	if !l.eofQueued || l.sendEnded || l.dead || c.out.written != c.out.queued {
		return func() {}
	}
	l.sendEnded = true
	both := l.receiveEnded
	c.linger()
	return func() {
		if c.wants(EventSendEnded) {
			c.observe(c.base, &Event{Kind: EventSendEnded})
		}
		if both {
			c.end(c.peerReason(), nil)
		}
	}
}

// linger waits for the peer's end, but not long, once a shutdown has nothing
// else to wait for: our EOF is written, and no answer is due. mu is held.
func (c *Conn) linger() {
	l := &c.life
	if l.lingering || !l.ending || !l.sendEnded || l.receiveEnded || c.inFlight > c.givenUp {
		return
	}
	l.lingering = true
	c.after(c.opts.Linger, func() { c.end(ReasonLinger, nil) })
}

// after runs f later unless the connection has ended by then. mu is held.
func (c *Conn) after(d time.Duration, f func()) {
	c.life.timers = append(c.life.timers, time.AfterFunc(d, f))
}

// peerReason is the reason of an orderly end.
func (c *Conn) peerReason() Reason {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.streamEnd {
		return ReasonStreamEnd
	}
	return ReasonShutdown
}

var errStreamEnded = fmt.Errorf("%w: its stream ended, without an EOF packet", ErrPeerEnded)

// receivingEnded is the reader's last act: err says why it stopped.
func (c *Conn) receivingEnded(err error) {
	pe := (*ProtocolError)(nil)
	malformed := errors.As(err, &pe)
	streamEnd := errors.Is(err, io.EOF)
	if !errors.Is(err, errPeerEOF) && !streamEnd && !malformed {
		c.end(ReasonReadError, fmt.Errorf("read: %w", err))
		return
	}
	cause := ErrPeerEnded
	c.mu.Lock()
	l := &c.life
	if l.dead {
		c.mu.Unlock()
		return
	}
	l.receiveEnded, l.streamEnd = true, streamEnd
	l.peerFirst = !l.ending && !l.halfClosing
	if streamEnd {
		cause = errStreamEnded
	}
	if malformed {
		// Nothing more is read. Handlers that run may still answer, for a moment.
		cause = err
		l.ending, l.cause, l.reason = true, err, protocolReason(err)
		c.after(c.opts.Linger, func() { c.end(protocolReason(err), err) })
	}
	lost := c.takeCalls()
	l.readerSettles = true
	c.advance()
	c.gate.wakeAll()
	flush := c.mustFlush()
	both := l.sendEnded
	sent := c.out.queued // sending goes on
	c.mu.Unlock()

	if streamEnd && c.wants(EventStreamEnd) {
		c.observe(c.base, &Event{Kind: EventStreamEnd})
	}
	c.failCalls(lost, sent, cause)
	c.closeReceived(c.Err())
	c.mu.Lock()
	l.readerSettles = false
	c.maybeDone()
	c.mu.Unlock()
	c.observeControls()
	if flush {
		c.flushAsCaller()
	}
	if both {
		c.end(c.peerReason(), nil)
	}
}

func (c *Conn) closeReceived(err error) {
	if c.wants(EventReceiveEnded) {
		c.observe(c.base, &Event{Kind: EventReceiveEnded, Err: err})
	}
	c.mu.Lock()
	list := c.life.received
	c.life.received = nil
	close(c.received)
	c.mu.Unlock()
	for _, f := range list {
		go f()
	}
}

// end ends the connection now, whatever its state. Only the first call counts.
func (c *Conn) end(reason Reason, cause error) {
	c.mu.Lock()
	l := &c.life
	if l.dead {
		c.mu.Unlock()
		return
	}
	l.dead = true
	if l.reason == ReasonNone {
		l.reason, l.cause = reason, cause
	}
	reason, cause = l.reason, l.cause
	lateReceive, lateSend := !l.receiveEnded, !l.sendEnded
	l.receiveEnded, l.sendEnded = true, true
	c.stats.Unanswered = c.dispatch.active
	lost := c.takeCalls()
	var dropped []*inbound
	for in := c.dispatch.waiting.pop(); in != nil; in = c.dispatch.waiting.pop() {
		in.channel.serving.take(in.tag)
		c.dispatch.active--
		c.dispatch.bytes -= in.weight
		dropped = append(dropped, in)
	}
	for _, t := range l.timers {
		t.Stop()
	}
	sent := c.out.taken
	c.out.pending.letGo(c.opts.Budget) // nothing is added to it any more
	c.gate.wakeAll()
	c.ended.Store(true)
	if !l.readerGone || c.out.writing {
		c.tr.interrupt(!l.readerGone, c.out.writing)
	}
	c.mu.Unlock()

	c.resumeReading()
	waiter(c.out.full).wake()
	c.cancel()
	if cause == nil {
		cause = ErrPeerEnded // in order: nobody waits for an answer then
	}
	c.failCalls(lost, sent, cause)
	for _, in := range dropped {
		c.reportDone(in, &Packet{}, 0, RejectNone, cause, true, false)
		if in.end != nil {
			in.end(errAnswered)
		}
		in.letGo()
	}
	if lateReceive {
		c.closeReceived(c.Err())
	}
	if lateSend && c.wants(EventSendEnded) {
		c.observe(c.base, &Event{Kind: EventSendEnded, Err: c.Err()})
	}
	if c.wants(EventConnClosed) {
		c.observe(c.base, &Event{Kind: EventConnClosed, Reason: reason, Err: c.Err(), Duration: time.Since(c.info.Opened)})
	}
	c.mu.Lock()
	l.reported = true
	c.maybeDone()
	c.mu.Unlock()
}

// maybeDone closes done when the end and every outcome have been reported and the
// stream is not touched any more, or cannot be let go of. mu is held.
func (c *Conn) maybeDone() {
	l := &c.life
	if !l.reported || l.doneClosed || l.readerSettles || l.givingUp > 0 ||
		(!l.readerLeft && c.tr.readDeadline != nil) || (c.out.writing && c.tr.writeDeadline != nil) {
		return
	}
	l.doneClosed = true
	if c.tr.writeDeadline != nil {
		_ = c.tr.writeDeadline(time.Time{}) // end may have set it when the writer had just finished
	}
	close(c.done)
}

// takeCalls empties the tables of this side's requests. mu is held.
func (c *Conn) takeCalls() (list []*Call) {
	c.eachChannel(func(ch *channel) {
		for _, call := range ch.calls.clear() {
			if !call.givenUp {
				list = append(list, call)
			}
		}
	})
	c.inFlight, c.givenUp = 0, 0
	return list
}

// failCalls settles calls whose answers cannot come any more. What begins before
// the position `sent` in the stream may have reached the peer, or may yet.
func (c *Conn) failCalls(list []*Call, sent uint64, cause error) {
	for _, call := range list {
		err := call.fail(OutcomeLost, cause)
		err.Sent = call.start < sent
		call.settle(0, OutcomeLost, Response{}, err)
	}
}
