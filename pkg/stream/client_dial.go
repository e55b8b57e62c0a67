package stream

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// dialling is one effort to connect, shared by all who wait for it.
type dialling struct {
	done     chan struct{}
	use      connUse // of the connection to come; who waits for it may hold it already
	attempts int     // begun since anybody had to wait; guarded by mu of the client
	err      error
}

// connect returns the current connection, held if that is wanted, and makes one
// if there is none. It may have been lost again when it is returned.
func (c *Client) connect(ctx context.Context, req *Request, hold bool) (*Conn, *connUse, error) {
	if conn := c.current.Load(); conn != nil && !hold && conn.usable() && !conn.PeerGoingAway() {
		return conn, nil, nil
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, nil, notConnected(req, OutcomeRefused, ErrClosed)
	}
	if conn := c.current.Load(); conn != nil {
		if conn.usable() {
			use := c.conns[conn]
			if hold {
				use.holds++
			}
			if conn.PeerGoingAway() && c.dialling == nil {
				// It still serves, and is used until there is another one.
				d := &dialling{done: make(chan struct{})}
				c.dialling = d
				c.keeper.Go(func() { c.connectAgain(d) })
			}
			c.mu.Unlock()
			return conn, use, nil
		}
		c.retire(conn, true)
	}
	d := c.dialling
	if d == nil {
		d = &dialling{done: make(chan struct{})}
		c.dialling = d
		c.keeper.Go(func() { c.connectAgain(d) })
	}
	if hold {
		d.use.holds++
	}
	c.mu.Unlock()

	select {
	case <-d.done:
		switch {
		case errors.Is(d.err, ErrClosed):
			return nil, nil, notConnected(req, OutcomeRefused, d.err)
		case d.err != nil:
			return nil, nil, notConnected(req, OutcomeLost, d.err)
		}
		return d.use.conn, &d.use, nil
	case <-ctx.Done():
		if hold {
			c.release(&d.use)
		}
		return nil, nil, notConnected(req, ctxOutcome(ctx.Err()), fmt.Errorf("no connection yet: %w", ctx.Err()))
	}
}

// notConnected is the error of a call for which there was no connection.
func notConnected(req *Request, outcome Outcome, cause error) error {
	if req == nil {
		return cause
	}
	e := &Error{Outcome: outcome, Conn: "none", Channel: req.Channel, Type: req.Type, Label: req.Label, Err: cause}
	if e.Label == "" {
		e.Label = defaultLabel(req.Type, req.Flags, len(req.Payload))
	}
	return e
}

// connectAgain dials until there is a connection, or it has failed often enough.
func (c *Client) connectAgain(d *dialling) {
	err := errors.New("not tried")
	for err != nil && c.mayDial(d) {
		if !c.backOff() {
			err = ErrClosed
			break
		}
		err = c.connectOnce(d)
	}
	switch {
	case errors.Is(err, ErrClosed):
		err = fmt.Errorf("dial: %w", err)
	case err != nil:
		err = fmt.Errorf("dialled %d times, last: %w", c.opts.DialAttempts, err)
	}
	c.mu.Lock()
	if c.dialling == d {
		c.dialling = nil
	}
	c.mu.Unlock()
	d.err = err
	close(d.done)
}

// mayDial begins an attempt, or ends the effort: whoever comes later begins another.
func (c *Client) mayDial(d *dialling) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.attempts == c.opts.DialAttempts {
		c.dialling = nil
		return false
	}
	d.attempts++
	return true
}

// backOff pauses after failures, counted from the last one. It reports false when
// the client is closed.
func (c *Client) backOff() bool {
	c.mu.Lock()
	failures, failed := c.failures, c.failed
	c.mu.Unlock()
	if failures == 0 {
		return c.ctx.Err() == nil
	}
	pause := c.opts.MinBackoff
	for range failures - 1 {
		if pause > c.opts.MaxBackoff/2 {
			pause = c.opts.MaxBackoff
			break
		}
		pause *= 2
	}
	pause -= time.Duration(c.opts.Random() * float64(pause) / 2)
	if pause -= time.Since(failed); pause <= 0 {
		return c.ctx.Err() == nil
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

func (c *Client) connectOnce(d *dialling) error {
	s, closeStream, err := c.dial(c.ctx)
	if err == nil {
		o := c.opts.Conn
		c.mu.Lock()
		if c.made++; o.Name != "" && c.made > 1 {
			o.Name = fmt.Sprintf("%s-%d", o.Name, c.made)
		}
		c.mu.Unlock()
		var conn *Conn
		if conn, err = NewConn(s, o); err == nil {
			c.mu.Lock()
			closed := c.closed
			if !closed {
				d.use.conn, c.dialling = conn, nil
				c.conns[conn] = &d.use
				c.current.Store(conn)
			}
			c.mu.Unlock()
			c.keeper.Go(func() { c.keep(conn, closeStream) })
			if closed {
				_ = conn.Close()
				return ErrClosed
			}
			if c.opts.KeepOpen < 0 {
				c.closeUnheld(conn) // who wanted it may have given up
			}
			return nil
		}
	}
	if closeStream != nil {
		_ = closeStream()
	}
	c.mu.Lock()
	c.failures++
	c.failed = time.Now()
	c.mu.Unlock()
	return err
}
