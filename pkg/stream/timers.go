package stream

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// ageSpread is the part of MaxAge, a tenth, over which the ends of connections are
// spread that were opened at one time, so that they do not all reconnect at one.
const ageSpread = 10

// startTimers arms the limits of time that are set.
func (c *Conn) startTimers() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.opts.FirstByteTimeout; d > 0 {
		c.after(d, func() {
			c.mu.Lock()
			quiet := c.stats.PacketsReceived == 0 && c.in.partial.Load() == 0 && !c.life.dead
			c.mu.Unlock()
			if quiet {
				c.end(ReasonTimeout, fmt.Errorf("%w: nothing came within %v of opening", ErrTimeLimit, d))
			}
		})
	}
	if d := c.opts.MaxAge; d > 0 {
		d -= time.Duration(rand.Float64() * float64(d) / ageSpread)
		c.after(d, func() { c.shutdown(fmt.Errorf("%w: open for %v", ErrTimeLimit, d), ReasonTimeout) })
	}
	if d := c.opts.IdleTimeout; d > 0 {
		c.lastActive = now()
		c.idle = time.AfterFunc(d, c.checkIdle)
		c.life.timers = append(c.life.timers, c.idle)
	}
}

// checkIdle ends the connection if it has been idle for long enough, and looks
// again later if not.
func (c *Conn) checkIdle() {
	limit := c.opts.IdleTimeout
	c.mu.Lock()
	idle := c.lastActive.until(now())
	if c.dispatch.active > 0 || c.inFlight > 0 || c.dispatch.paused || c.in.partial.Load() > 0 {
		idle = 0
	}
	if idle < limit && !c.life.dead && !c.life.ending {
		c.idle.Reset(limit - idle)
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	c.shutdown(fmt.Errorf("%w: idle for %v", ErrTimeLimit, limit), ReasonTimeout)
}

// touch notes that a packet came or went. mu is held.
func (c *Conn) touch() {
	if c.opts.IdleTimeout > 0 {
		c.lastActive = now()
	}
}
