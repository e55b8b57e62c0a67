package stream

import (
	"context"
	"errors"
	"fmt"
	"time"
)

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
		at := moment(0)
		if c.in.served != nil {
			at = now()
			c.showServed(at)
		}
		c.flush(at)
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
