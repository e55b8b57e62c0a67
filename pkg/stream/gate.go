package stream

import (
	"context"
	"slices"
)

// gate makes senders wait, first come first served, while too many bytes are
// queued for sending or too many calls are in flight. All of it is guarded by
// the connection's mu.
//
// There are three queues, so that nobody waits for those who wait for him:
// answers need no place in flight, and call-backs of handlers have places of
// their own beyond Options.MaxInFlight, one for each handler. Else calls of the
// application, waiting for handlers of the peer, could keep these from their
// own call-backs on both sides.
type gate struct {
	calls     line
	callBacks line
	answers   line
}

// line is a queue of senders. Each is woken when it may be its turn, and stays at
// the head until it goes on, so that nobody overtakes it.
type line []waiter

// waiter is a wake-up that is not lost when it comes early.
type waiter chan struct{}

func (w waiter) wake() {
	select {
	case w <- struct{}{}:
	default:
	}
}

func (l line) wakeFirst() {
	if len(l) > 0 {
		l[0].wake()
	}
}

func (c *Conn) sendRoom() bool { return c.out.queued-c.out.written < uint64(c.opts.SendBuffer) }

func (c *Conn) callRoom() bool { return c.inFlight < c.callLimit() && c.sendRoom() }

func (c *Conn) callBackRoom() bool {
	return c.inFlight < c.callLimit()+c.opts.MaxHandlers && c.sendRoom()
}

// inHandler says whether ctx is that of a handler of this connection.
func (c *Conn) inHandler(ctx context.Context) bool {
	s := scopeOf(ctx)
	return s != nil && s.conn() == c
}

// wake lets the first in each queue look again, and a paused reader. Called when
// room may have come.
func (g *gate) wake(c *Conn) {
	if c.sendRoom() {
		g.answers.wakeFirst()
		g.callBacks.wakeFirst()
		g.calls.wakeFirst()
	}
	if c.dispatch.paused {
		c.resumeReading()
	}
}

// wakeAll lets everybody look again. Called when the connection's state changes.
func (g *gate) wakeAll() {
	for _, l := range []line{g.answers, g.callBacks, g.calls} {
		for _, w := range l {
			w.wake()
		}
	}
}

// waitForCall waits until a call may be queued, if it must, and says whether it had
// to. mu is held at entry and at return, not in between.
// A call that is used again has a channel that nobody else uses yet.
func (c *Conn) waitForCall(ctx context.Context, call *Call) (waited bool, err error) {
	if len(c.gate.calls) == 0 && c.callRoom() {
		return false, nil
	}
	l, room := &c.gate.calls, c.callRoom
	if c.inHandler(ctx) {
		l, room = &c.gate.callBacks, c.callBackRoom
	}
	w := waiter(call.done)
	if !call.pooled {
		w = make(waiter, 1)
	}
	return true, c.waitTurn(ctx, w, l, room, func() error { return c.refusal(ctx) })
}

// waitForAnswer waits until a handler's response may be queued, or the
// connection has ended. mu is held at entry and at return, not in between.
func (c *Conn) waitForAnswer() {
	_ = c.waitTurn(context.Background(), make(waiter, 1), &c.gate.answers, c.sendRoom, func() error {
		if c.life.dead {
			return ErrClosed
		}
		return nil
	})
}

// waitTurn waits, by a waiter that is empty at entry and at return, until one is the first
// in line and there is room, or ctx or the connection's state forbid to go on. mu is held
// at entry and at return, not in between, and never while ctx is asked: it may be that of
// one of this connection's handlers, which takes mu itself.
func (c *Conn) waitTurn(ctx context.Context, w waiter, l *line, room func() bool, forbidden func() error) error {
	*l = append(*l, w)
	defer func() {
		select {
		case <-w: // a wake-up that was not needed; later ones are for others
		default:
		}
		i := slices.Index(*l, w)
		*l = slices.Delete(*l, i, i+1)
		if i == 0 {
			l.wakeFirst() // it looks whether there is room for it, too
		}
	}()
	for {
		if err := forbidden(); err != nil {
			return err
		}
		if (*l)[0] == w && room() {
			return nil
		}
		c.mu.Unlock()
		select {
		case <-w:
		case <-ctx.Done():
		}
		err := ctx.Err()
		c.mu.Lock()
		if err != nil {
			return err
		}
	}
}
