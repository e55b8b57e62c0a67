package stream

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Pings find peers that are gone without a word, and measure the round trip. The side that
// has asked for the extension sends one each Options.PingInterval. The other hears these,
// and asks only when it has heard nothing for twice as long. Any byte that is read counts
// as a sign of life, and while this side does not read it judges nobody.

// ErrDeadPeer is the cause of connections that ended because nothing at all had come from
// the peer, not even the answer to a ping.
var ErrDeadPeer = fmt.Errorf("the peer is dead: it has sent nothing, and not answered a ping")

// ping is the state of pings. Guarded by the connection's mu.
type ping struct {
	tag       uint64 // of the one that is not answered; 0: none
	at        moment // when it was queued
	seen      uint64 // reads at the last look
	judging   bool   // a ping was queued, and nothing has been read since
	end       uint64 // where that ends in what is sent; 0: it has been written
	left      moment // when it had been written
	roundTrip time.Duration
	timer     *time.Timer
}

func (p *ping) answered() {
	p.tag = 0
	p.roundTrip = p.at.until(now())
}

// progress notes that what is sent was written up to some position.
func (p *ping) progress(written uint64) {
	if p.end != 0 && written >= p.end {
		p.end, p.left = 0, now()
	}
}

// patience is how long the peer may still be silent. What waits behind much else that is
// sent, however slowly, proves nothing; the write timeout looks after that.
func (p *ping) patience(timeout time.Duration) time.Duration {
	if p.end != 0 {
		return timeout
	}
	return timeout - p.left.until(now())
}

// pingInterval is how often this side looks.
func (c *Conn) pingInterval() time.Duration {
	if c.opts.Extension == ExtensionAsk {
		return c.opts.PingInterval
	}
	return 2 * c.opts.PingInterval
}

// startPings begins to look after the peer. mu is held.
func (c *Conn) startPings() {
	if c.opts.PingInterval > 0 && !c.life.dead {
		c.ext.ping.seen = c.in.reads.Load()
		c.ext.ping.timer = time.AfterFunc(c.pingInterval(), c.lookAfterPeer)
		c.life.timers = append(c.life.timers, c.ext.ping.timer)
	}
}

// lookAfterPeer runs on a timer.
func (c *Conn) lookAfterPeer() {
	c.mu.Lock()
	p, l := &c.ext.ping, &c.life
	if l.dead || l.receiveEnded {
		c.mu.Unlock()
		return
	}
	reads := c.in.reads.Load()
	heard := reads != p.seen || c.dispatch.paused || c.role.turn.Load()%2 == 1
	if p.judging && !heard {
		left := p.patience(c.opts.PingTimeout)
		if left > 0 {
			p.timer.Reset(left)
		}
		c.mu.Unlock()
		if left > 0 {
			return
		}
		c.end(ReasonDeadPeer, fmt.Errorf("%w for %v", ErrDeadPeer, c.opts.PingTimeout))
		return
	}
	p.seen, p.judging, p.end = reads, false, 0
	wait := c.pingInterval()
	if !heard {
		p.judging = true
		wait = c.opts.PingTimeout
	}
	flush := false
	if p.judging || c.opts.Extension == ExtensionAsk && p.tag == 0 {
		active := c.lastActive
		p.at = now()
		p.tag = c.queueMessage(&Message{Kind: MessagePing, Ping: binary.BigEndian.AppendUint64(nil, uint64(p.at))})
		p.end, p.left = c.out.queued, p.at
		c.lastActive = active // the connection is as idle as before
		flush = c.mustFlush()
	}
	p.timer.Reset(wait)
	c.mu.Unlock()
	c.observeControls()
	if flush {
		c.flushAsCaller()
	}
}

// answerPing answers the peer's, unless the answer to an earlier one has not left yet: a
// peer that does not read gets no more. It runs on the reader.
func (c *Conn) answerPing(p *Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.eofQueued || c.life.dead || c.out.written < c.ext.pong {
		return
	}
	active := c.lastActive
	c.out.holding = true // the reader flushes at the end of the batch
	c.queueControl(&Packet{Kind: KindResponse, OK: true, Channel: ControlChannel, Tag: p.Tag, Payload: p.Payload})
	c.ext.pong = c.out.queued
	c.lastActive = active
}
