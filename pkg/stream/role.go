package stream

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// The role of the reader moves. One goroutine at a time has it: it reads the stream,
// parses, settles what has come, and alone touches Conn.in. Handlers of types that
// are quick (see pace) run on it, which costs no goroutine. Should one not be quick
// this time, the role is taken from it and given to a new goroutine, and the handler
// goes on like any other.

const (
	// A handler is looked at after busyTick while many run, else after quietTick,
	// and has lost the role when it is still the same one then. Many and few are
	// counted for a quietTick; a turn is counted at its beginning and at its end.
	busyTick  = 500 * time.Microsecond
	quietTick = 2 * time.Millisecond
	manyTurns = 2 * 128
	fewTurns  = 2 * 8 // with fewer the watch costs more than goroutines
	// paceSample is how many runs there are for each that is timed.
	paceSample = 16
	// maxHeld is how long answers are held back to be flushed with others, and
	// maxHeldCalls how long what is asked anew by those whose answers have come.
	maxHeld      = 100 * time.Microsecond
	maxHeldCalls = 500 * time.Microsecond
)

// roleWarmUp is how many requests must come before the watch is set up for a
// connection: where they come seldom, a goroutine costs less than a timer. A
// variable for tests.
var roleWarmUp = 8

// errRoleLost ends the read loop of a goroutine that is no longer the reader.
var errRoleLost = errors.New("another goroutine reads on")

// role is who reads.
type role struct {
	// turn is even while the reader reads, and odd while it runs a handler. Only the
	// reader makes it odd. Then the reader and whoever wants to take the role from it
	// both try to make it even again, and who does has the role.
	turn atomic.Uint64
	// watching: the watch runs. The reader looks at it only behind its odd turn, the
	// watch at the turn only behind having ended, so that one of them sees the other.
	watching atomic.Bool

	// Owned by the reader.
	warm int    // requests since the watch ended
	held moment // since when answers are held back, if that was looked at

	current *pace       // of the handler that runs: written by the reader before its turn
	watch   *time.Timer // likewise; nil until it is needed

	// Owned by the watch.
	seen uint64        // the turn at its last look
	tick time.Duration // since then
}

// mayRun says whether a handler may run on the reader now. It runs on the reader.
func (r *role) mayRun(p *pace) bool {
	switch {
	case p.isInline():
		return true
	case p == nil || !p.quick.Load():
		return false
	case r.watching.Load():
		return true
	}
	if r.warm++; r.warm < roleWarmUp {
		return false
	}
	r.warm = 0
	return true
}

// beginTurn begins a handler's turn, and sees to it that it is watched. Once it has
// begun the caller may be the reader no longer.
func (c *Conn) beginTurn(p *pace) uint64 {
	r := &c.role
	if r.watch == nil {
		r.watch = time.AfterFunc(time.Hour, c.watchTurns)
	}
	r.current = p
	turn := r.turn.Add(1)
	if !r.watching.Load() && r.watching.CompareAndSwap(false, true) {
		r.seen, r.tick = turn-1, quietTick
		r.watch.Reset(quietTick)
	}
	return turn
}

// nextTurn is the turn that beginTurn will begin. It is called by the reader.
func (r *role) nextTurn() uint64 { return r.turn.Load() + 1 }

// endTurn ends it. It reports whether the caller is still the reader.
func (r *role) endTurn(turn uint64) bool { return r.turn.CompareAndSwap(turn, turn+1) }

// takeRole takes the role from the handler of a turn, if that still runs.
func (c *Conn) takeRole(turn uint64) bool {
	if !c.role.endTurn(turn) {
		return false
	}
	c.role.current.robbed()
	go func() {
		c.endBatch() // what came before that request waits no longer
		c.receive()
	}()
	return true
}

// watchTurns looks whether the same handler runs as at the last look. It runs as
// long as there are some.
func (c *Conn) watchTurns() {
	r := &c.role
	turn := r.turn.Load()
	turns := (turn - r.seen) * uint64(quietTick/r.tick)
	r.tick = quietTick
	switch {
	case turns == 0 && turn%2 == 1:
		c.takeRole(turn)
	case turns < fewTurns && turn%2 == 0:
		r.watching.Store(false)
		if r.turn.Load() == turn || !r.watching.CompareAndSwap(false, true) {
			return
		}
	case turns >= manyTurns:
		r.tick = busyTick
	}
	r.seen = turn
	r.watch.Reset(r.tick)
}

// handOver gives the role away before a handler waits for an answer over its own
// connection, which nobody would read.
func (c *Conn) handOver(ctx context.Context) {
	if s := scopeOf(ctx); s != nil && s.conn() == c && s.turn != 0 {
		c.takeRole(s.readerTurn())
	}
}

// serveQuick runs the handler of an accepted request on the reader, in the turn that its
// scope has. It reports whether this goroutine is still the reader.
func (c *Conn) serveQuick(in *inbound) (stays bool) {
	pace := in.pace
	turn := c.beginTurn(pace)
	returned := false
	defer func() {
		if returned {
			return
		}
		stays := c.role.endTurn(turn)
		if next := c.answer(in, Response{}, errHandlerExited, stays); next != nil {
			go next.run()
		}
		if stays { // Goexit takes the reader's goroutine with it: another one reads on
			go c.receive()
		}
	}()
	var started, ended moment
	sampled := turn/2%paceSample == 0
	if sampled {
		started = now()
	}
	resp, err := c.invoke(in)
	stays = c.role.endTurn(turn)
	switch {
	case !stays: // it took long, which is told
		in.answered = now()
	case sampled:
		ended = now()
		pace.sample(started.until(ended))
	}
	next := c.answer(in, resp, err, stays)
	returned = true
	if sampled && stays {
		if c.in.served != nil {
			c.showServed(ended)
		}
		c.flushHeld(ended, maxHeld)
	}
	switch {
	case next == nil:
	case stays:
		go next.run()
	default:
		c.serve(next)
	}
	return stays
}

// flushHeld flushes, within a long batch of packets, what is held back for long. It
// runs on the reader.
func (c *Conn) flushHeld(at moment, most time.Duration) {
	r := &c.role
	if r.held == 0 {
		r.held = at
	}
	if r.held.until(at) < most {
		return
	}
	r.held = at
	c.mu.Lock()
	c.out.looks.end(at)
	c.out.holding = false
	flush := c.mustFlush()
	c.mu.Unlock()
	if flush {
		c.flush(at)
	}
}
