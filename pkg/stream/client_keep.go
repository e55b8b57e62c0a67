package stream

import (
	"context"
	"sync"
	"time"
)

// connUse is what the client knows about a connection. Guarded by its mu.
type connUse struct {
	conn     *Conn // nil while it is being made
	holds    int
	released bool // a hold was, since keep looked last
	judged   bool // counted as success or failure
}

// use returns a connection for one request. Who lets go of unused connections at
// once must hold it meanwhile.
func (c *Client) use(ctx context.Context, req *Request) (conn *Conn, release func(), err error) {
	if c.opts.KeepOpen < 0 {
		return c.hold(ctx, req)
	}
	conn, _, err = c.connect(ctx, req, false)
	return conn, func() {}, err
}

// releaseAfter releases a hold when the call has its outcome.
func (c *Client) releaseAfter(call *Call, release func()) {
	if c.opts.KeepOpen >= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed { // else all connections end, and nobody may join keeper
		c.keeper.Go(func() { <-call.Done(); release() })
	}
}

func (c *Client) hold(ctx context.Context, req *Request) (conn *Conn, release func(), err error) {
	conn, use, err := c.connect(ctx, req, true)
	if err != nil {
		return nil, nil, err
	}
	return conn, sync.OnceFunc(func() { c.release(use) }), nil
}

func (c *Client) release(use *connUse) {
	c.mu.Lock()
	use.holds--
	use.released = true
	conn := use.conn
	c.mu.Unlock()
	if c.opts.KeepOpen < 0 && conn != nil {
		c.closeUnheld(conn)
	}
}

// keepLooks is how often in KeepOpen a connection is looked at.
const keepLooks = 4

// keep looks after one connection until it has ended: it closes it when unused,
// and its stream at the end.
func (c *Client) keep(conn *Conn, closeStream func() error) {
	interval := time.Hour // release closes it
	if c.opts.KeepOpen > 0 {
		interval = max(c.opts.KeepOpen/keepLooks, time.Millisecond)
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var seen uint64
	unused := 0 // looks in a row
	for open := true; open; {
		select {
		case <-conn.Received():
			open = false
		case <-ticker.C:
			done, busy := conn.activity()
			if unused++; busy || done != seen || c.heldLately(conn) {
				unused = 0
			}
			seen = done
			if unused >= keepLooks && c.opts.KeepOpen > 0 {
				c.closeUnheld(conn)
			}
		}
	}
	c.mu.Lock()
	c.retire(conn, true)
	c.mu.Unlock()
	// The peer has ended: nothing more can be answered, and what runs for it here
	// has as long as its orderly end is allowed to take.
	ctx, cancel := context.WithTimeout(context.Background(), c.opts.Conn.DrainTimeout+DefaultDrainTimeout)
	defer cancel()
	_ = conn.Shutdown(ctx)
	c.mu.Lock()
	delete(c.conns, conn)
	c.mu.Unlock()
	if closeStream != nil {
		_ = closeStream()
	}
}

// heldLately reports whether a connection is held open or was since the last look.
func (c *Client) heldLately(conn *Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	use := c.conns[conn]
	if use == nil {
		return false
	}
	lately := use.released
	use.released = false
	return lately || use.holds > 0
}

// closeUnheld closes the connection in order unless somebody holds it open.
func (c *Client) closeUnheld(conn *Conn) {
	c.mu.Lock()
	use := c.conns[conn]
	unheld := use == nil || use.holds == 0
	if unheld {
		c.retire(conn, !conn.usable())
	}
	c.mu.Unlock()
	if unheld {
		conn.shutdown(nil, ReasonNone)
	}
}

// retire makes a connection no longer the current one, and counts it once: as a
// success if it has answered anything, else as a failure if it was lost. mu is
// held.
func (c *Client) retire(conn *Conn, lost bool) {
	if c.current.CompareAndSwap(conn, nil) && c.dialling != nil {
		// It served while its peer was going away, and nobody waited for another one.
		// Who has to wait from now on has all attempts before it.
		c.dialling.attempts = 0
	}
	use := c.conns[conn]
	if use == nil || use.judged {
		return
	}
	use.judged = true
	switch {
	case conn.Stats().CallsAnswered > 0:
		c.failures = 0
	case lost:
		c.failures++
		c.failed = time.Now()
	}
}

// activity counts what has happened to requests of either side, and says whether
// any is open.
func (c *Conn) activity() (done uint64, busy bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.stats
	return s.CallsSent + s.CallsAnswered + s.RequestsReceived + s.ResponsesSent, c.inFlight > c.givenUp || c.dispatch.active > 0
}
