package stream

import (
	"context"
	"slices"
)

// gate makes senders wait, first come first served, while too many bytes are
// queued for sending or too many calls are in flight. All of it is guarded by
// the connection's mu.
type gate struct {
	calls   []waiter // wait for bytes and a place in flight
	answers []waiter // wait for bytes alone, so that calls cannot hold up answers
}

// waiter is woken when it may be its turn. It stays at the head of its queue
// until it goes on, so that nobody overtakes it.
type waiter chan struct{}

func (w waiter) wake() {
	select {
	case w <- struct{}{}:
	default:
	}
}

func (c *Conn) sendRoom() bool { return c.out.queued-c.out.written < uint64(c.opts.SendBuffer) }

func (c *Conn) callRoom() bool { return c.inFlight < c.opts.MaxInFlight && c.sendRoom() }

// openForCall says whether a new call need not wait.
func (g *gate) openForCall(c *Conn) bool { return len(g.calls) == 0 && c.callRoom() }

// wake lets the first in each queue look again. Called when room may have come.
func (g *gate) wake(c *Conn) {
	if len(g.answers) > 0 && c.sendRoom() {
		g.answers[0].wake()
	}
	if len(g.calls) > 0 && c.callRoom() {
		g.calls[0].wake()
	}
	if c.dispatch.paused {
		c.resumeReading()
	}
}

// wakeAll lets everybody look again. Called when the connection's state changes.
func (g *gate) wakeAll() {
	for _, w := range g.answers {
		w.wake()
	}
	for _, w := range g.calls {
		w.wake()
	}
}

// waitForCall waits until a call may be queued. mu is held at entry and at
// return, not in between.
func (c *Conn) waitForCall(ctx context.Context) error {
	w := make(waiter, 1)
	c.gate.calls = append(c.gate.calls, w)
	defer func() {
		i := slices.Index(c.gate.calls, w)
		c.gate.calls = slices.Delete(c.gate.calls, i, i+1)
		if i == 0 {
			c.gate.wake(c) // hand on what this one does not use
		}
	}()
	for {
		c.mu.Unlock()
		select {
		case <-w:
		case <-ctx.Done():
		}
		c.mu.Lock()
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.refusal(ctx); err != nil {
			return err
		}
		if c.gate.calls[0] == w && c.callRoom() {
			return nil
		}
	}
}

// waitForAnswer waits until a handler's response may be queued, or the
// connection has ended. mu is held at entry and at return, not in between.
func (c *Conn) waitForAnswer() {
	w := make(waiter, 1)
	c.gate.answers = append(c.gate.answers, w)
	for !c.life.dead && (c.gate.answers[0] != w || !c.sendRoom()) {
		c.mu.Unlock()
		<-w
		c.mu.Lock()
	}
	i := slices.Index(c.gate.answers, w)
	c.gate.answers = slices.Delete(c.gate.answers, i, i+1)
	c.gate.wake(c)
}
