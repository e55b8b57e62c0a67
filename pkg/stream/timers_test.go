package stream

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// endsAfter checks when and how a connection ends for a limit of time.
func endsAfter(t *testing.T, c *Conn, opened time.Time, want time.Duration) {
	t.Helper()
	<-c.Done()
	if took := time.Since(opened); took != want {
		t.Errorf("ended after %v, want %v", took, want)
	}
	if c.Reason() != ReasonTimeout || !errors.Is(c.Err(), ErrTimeLimit) {
		t.Errorf("ended by %v: %v", c.Reason(), c.Err())
	}
}

func TestFirstByteTimeout(t *testing.T) {
	o := Options{FirstByteTimeout: 5 * time.Second, Handler: echo}
	t.Run("silent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			opened := time.Now()
			c, _ := newRawPeer(t, o)
			endsAfter(t, c, opened, 5*time.Second)
		})
	})
	t.Run("a packet", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, p := newRawPeer(t, o)
			time.Sleep(4 * time.Second)
			p.sendPacket(ask(2, 0, ""))
			time.Sleep(time.Hour)
			if c.Reason() != ReasonNone {
				t.Errorf("ended by %v: %v", c.Reason(), c.Err())
			}
		})
	})
}

// Idle is when no packet came or went and none is awaited.
func TestIdleTimeout(t *testing.T) {
	const limit, linger = 10 * time.Second, 3 * time.Second
	release := make(chan struct{}, 1)
	for name, use := range map[string]struct {
		do   func(t *testing.T, c *Conn, p *rawPeer)
		ends time.Duration // since opening
	}{
		"nothing": {func(*testing.T, *Conn, *rawPeer) {}, limit},
		"packets come": {func(_ *testing.T, _ *Conn, p *rawPeer) {
			for tag := range uint64(5) {
				time.Sleep(limit - time.Second)
				p.sendPacket(ok(tag+100, "to nothing"))
			}
		}, 5*(limit-time.Second) + limit},
		"a call waits": {func(t *testing.T, c *Conn, p *rawPeer) {
			call := submit(t, c, 0)
			time.Sleep(time.Hour)
			p.sendPacket(ok(call.Tag(), ""))
		}, time.Hour + limit},
		"a handler runs": {func(_ *testing.T, _ *Conn, p *rawPeer) {
			p.sendPacket(ask(2, 1, ""))
			time.Sleep(time.Hour)
			release <- struct{}{}
		}, time.Hour + limit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release = make(chan struct{}, 1)
				opened := time.Now()
				c, p := newRawPeer(t, Options{IdleTimeout: limit, Linger: linger, Handler: HandlerFunc(
					func(context.Context, Request) (Response, error) { <-release; return Response{}, nil },
				)})
				use.do(t, c, p)
				endsAfter(t, c, opened, use.ends+linger) // the peer does not end
				var last Packet
				for last = range p.sent {
				}
				if last.Kind != KindEOF {
					t.Errorf("it ended with %v, not in order", last)
				}
			})
		})
	}
}

// A connection that is old enough ends in order: calls in flight and handlers
// that run end first.
func TestMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened := time.Now()
		c, p := newRawPeer(t, Options{MaxAge: time.Minute, Linger: time.Second})
		call := submit(t, c, 0)
		time.Sleep(90 * time.Second)
		if _, err := c.Submit(t.Context(), Request{}); !errors.Is(err, ErrTimeLimit) && !errors.Is(err, ErrClosed) {
			t.Errorf("a call after the age limit: %v", err)
		}
		p.sendPacket(ok(call.Tag(), "in time"))
		if resp, err := call.Wait(t.Context()); err != nil || string(resp.Payload) != "in time" {
			t.Errorf("%q, %v", resp.Payload, err)
		}
		endsAfter(t, c, opened, 91*time.Second)
	})
}

// Connections that were opened together do not end together, and none too late.
func TestMaxAgeIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, conns = time.Hour, 50
		opened := time.Now()
		ages := make(chan time.Duration, conns)
		for range conns {
			c, _ := newRawPeer(t, Options{MaxAge: limit, Linger: time.Second})
			go func() {
				<-c.Done()
				ages <- time.Since(opened)
			}()
		}
		seen := make(map[time.Duration]bool)
		var first, last time.Duration = limit, 0
		for range conns {
			age := <-ages - time.Second // the linger
			first, last = min(first, age), max(last, age)
			seen[age.Round(time.Second)] = true
		}
		if first < limit*9/10-time.Second || last > limit+time.Second {
			t.Errorf("they ended after %v to %v, want from %v to %v", first, last, limit*9/10, limit)
		}
		if len(seen) < conns/2 || last-first < limit/20 {
			t.Errorf("%d connections ended in %d different seconds, within %v", conns, len(seen), last-first)
		}
	})
}

// Timers of a connection that has ended are stopped: they do not keep it in
// memory, nor change how it ended.
func TestTimersStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newRawPeer(t, Options{FirstByteTimeout: time.Hour, IdleTimeout: time.Hour, MaxAge: time.Hour})
		c.Close()
		for _, timer := range c.life.timers {
			if timer.Stop() {
				t.Error("a timer still ran")
			}
		}
		if c.Reason() != ReasonClosed {
			t.Error(c.Reason())
		}
	})
}
