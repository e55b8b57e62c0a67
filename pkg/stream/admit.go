package stream

import (
	"fmt"
	"time"
)

// rejectionBacklog is how many bytes of rejections may wait to be sent before
// reading pauses until the peer takes some. It is more than a peer of our own
// kind, whose requests in flight are limited, can bring about: two that reject
// each other's requests never wait for each other.
const rejectionBacklog = 64 * DefaultMaxInFlight

// admit decides about a request, in the order of the specification's section 6.
// It returns when the request can be accepted, or the reason for which it is
// rejected. When accepted requests are at their limit it makes the peer wait by
// not reading on, but not when none of them has ended for long, and only while no
// answer to this side is due, not even to a call that was given up: the peer must
// be able to send it to get on. (So two peers never wait for each other: what fills
// one is in flight at the other.)
// mu is held, but not while waiting.
func (c *Conn) admit(p *Packet, weight int, forbidden error) (ch *channel, reason RejectReason, text string) {
	for {
		ch = c.channel(p.Channel)
		d := &c.dispatch
		backlog := c.out.rejections() > rejectionBacklog
		full := d.active >= c.opts.MaxQueued+c.opts.MaxHandlers ||
			(d.active > 0 && d.bytes+weight > c.opts.MaxQueuedBytes)
		switch {
		case c.life.eofQueued || c.life.dead:
			return nil, RejectRequestsEnded, textCancelled // dropped by the caller
		case backlog: // no rejection could leave either
		case c.opts.Handler == nil && len(c.channels) == 0:
			return nil, RejectNoHandler, textNoHandler
		case c.life.peerRequestsEnded || c.life.rejectNew:
			return nil, RejectRequestsEnded, textRequestsEnded
		case ch == nil:
			return nil, RejectUnknownChannel, fmt.Sprintf("unknown channel %d", p.Channel)
		case ch.handler == nil:
			return nil, RejectNoHandler, textNoHandler
		case forbidden != nil:
			return nil, RejectForbidden, "forbidden: " + forbidden.Error()
		case ch.serving.get(p.Tag) != nil:
			return nil, RejectTagInUse, fmt.Sprintf("channel %d: tag already in use: %d", p.Channel, p.Tag)
		case !full && (c.in.skip > 0 || !c.opts.Budget.take(inboundMemory(weight))):
			return nil, RejectBusy, "busy: the memory of all connections is used up, try again later"
		case !full:
			return ch, RejectNone, ""
		case c.inFlight > 0 || d.stuckFor(c.opts.PauseTimeout):
			return nil, RejectBusy, fmt.Sprintf("busy: %d requests wait, try again later", d.active)
		}
		c.pause()
	}
}

// stuckFor reports whether requests have been at their limit for so long without
// one that ended. mu is held.
func (d *dispatch) stuckFor(limit time.Duration) bool {
	if d.stuck == 0 {
		d.stuck = now()
	}
	return d.stuck.until(now()) >= limit
}

// pause keeps the reader from reading until there may be room again, or a call
// is submitted, or the connection ends, or it has lasted too long. mu is held at
// entry and at return.
func (c *Conn) pause() {
	if c.dispatch.resume == nil {
		c.dispatch.resume = make(chan struct{}, 1)
	}
	c.dispatch.paused = true
	c.mu.Unlock()
	c.endBatch() // nothing may be held back meanwhile
	begun := time.Now()
	if c.wants(EventPaused) {
		c.observe(c.base, &Event{Kind: EventPaused})
	}
	limit := time.NewTimer(c.opts.PauseTimeout)
	select {
	case <-c.dispatch.resume:
	case <-limit.C:
	}
	limit.Stop()
	if c.wants(EventResumed) {
		c.observe(c.base, &Event{Kind: EventResumed, Duration: time.Since(begun)})
	}
	c.mu.Lock()
	c.in.reads.Add(1) // the peer is not judged by what was not read
	c.dispatch.paused = false
}

// resumeReading lets a paused reader look again.
func (c *Conn) resumeReading() { waiter(c.dispatch.resume).wake() }
