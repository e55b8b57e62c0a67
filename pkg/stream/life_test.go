package stream

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs a test on a clock of its own: what must happen at once has happened
// after synctest.Wait, and waiting takes no time.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// later runs f beside the test and gives its result.
func later[T any](f func() T) <-chan T {
	result := make(chan T, 1)
	go func() { result <- f() }()
	return result
}

// held is a handler that answers "done" when it is let go: one request for each
// token. Requests of another type than 1 are echoed at once.
func held() (HandlerFunc, chan struct{}) {
	release := make(chan struct{})
	return func(ctx context.Context, req Request) (Response, error) {
		if req.Type != 1 {
			return echo(ctx, req)
		}
		select {
		case <-release:
			return Text("done"), nil
		case <-ctx.Done():
			return Response{}, ctx.Err()
		}
	}, release
}

// finished checks how a connection ended.
func finished(t *testing.T, c *Conn, reason Reason, err error) {
	t.Helper()
	if !ended(c.Done()) || !ended(c.Received()) {
		t.Fatalf("done %t, received %t", ended(c.Done()), ended(c.Received()))
	}
	if c.Reason() != reason || !errors.Is(c.Err(), err) {
		t.Errorf("ended as %v, %v; want %v, %v", c.Reason(), c.Err(), reason, err)
	}
}

func TestClosingInOrder(t *testing.T) {
	bubble(t, "a quiet connection sends ERQ and EOF", func(t *testing.T) {
		c, p := scripted(t, Options{})
		down := later(func() error { return c.Shutdown(deadline(t)) })
		synctest.Wait()
		p.wants(packetEndRequests, packetEOF)
		if s := "0301020003000200"; describe(wire(packetEndRequests, packetEOF))[:16] != s {
			t.Errorf("want the bytes %s", s)
		}
		if ended(c.Done()) {
			t.Error("done before the peer's end")
		}
		p.send(packetEOF) // without ERQ
		if err := <-down; err != nil {
			t.Error(err)
		}
		finished(t, c, ReasonShutdown, nil)
		p.wants()
	})

	bubble(t, "after the peer's EOF: ERQ, last responses, EOF", func(t *testing.T) {
		h, release := held()
		c, p := scripted(t, Options{Handler: h})
		p.send(ask(2, 1, ""), packetEndRequests, packetEOF)
		synctest.Wait()
		p.wants()
		if !ended(c.Received()) || ended(c.Done()) {
			t.Errorf("received %t, done %t", ended(c.Received()), ended(c.Done()))
		}
		down := later(func() error { return c.Shutdown(deadline(t)) })
		synctest.Wait()
		p.wants(packetEndRequests)
		release <- struct{}{}
		if err := <-down; err != nil {
			t.Error(err)
		}
		p.wants(ok(2, "done"), packetEOF)
		finished(t, c, ReasonShutdown, nil)
	})

	bubble(t, "the peer's EOF alone closes nothing", func(t *testing.T) {
		h, release := held()
		c, p := scripted(t, Options{Handler: h})
		p.send(ask(2, 1, ""), packetEOF)
		time.Sleep(time.Hour)
		release <- struct{}{}
		synctest.Wait()
		p.wants(ok(2, "done"))
		if ended(c.Done()) || c.Reason() != ReasonNone {
			t.Errorf("done %t, %v", ended(c.Done()), c.Reason())
		}
	})

	bubble(t, "what was accepted is answered before EOF, what comes meanwhile is served", func(t *testing.T) {
		h, release := held()
		c, p := scripted(t, Options{Handler: h, MaxHandlers: 1})
		p.send(ask(2, 1, ""), ask(3, 0, "queued"))
		synctest.Wait()
		down := later(func() error { return c.Shutdown(deadline(t)) })
		synctest.Wait()
		p.wants()
		p.send(ask(4, 0, "meanwhile"))
		synctest.Wait()
		release <- struct{}{}
		synctest.Wait()
		p.wants(ok(2, "done"), ok(3, "queued"), ok(4, "meanwhile"), packetEndRequests, packetEOF)
		p.send(packetEOF)
		if err := <-down; err != nil {
			t.Error(err)
		}
	})

	bubble(t, "calls in flight are waited for, given-up ones are not", func(t *testing.T) {
		c, p := scripted(t, Options{})
		call, err := c.Submit(deadline(t), Request{})
		lost, err2 := c.Submit(deadline(t), Request{})
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		lost.Cancel()
		down := later(func() error { return c.Shutdown(deadline(t)) })
		time.Sleep(20 * time.Second) // much longer than any limit of its own
		p.wants(ask(2, 0, ""), ask(3, 0, ""))
		p.send(ok(2, "at last"))
		synctest.Wait()
		p.wants(packetEndRequests, packetEOF)
		if resp, err := call.Wait(t.Context()); err != nil || string(resp.Payload) != "at last" {
			t.Errorf("%q, %v", resp.Payload, err)
		}
		p.send(packetEOF)
		if err := <-down; err != nil {
			t.Error(err)
		}
	})

	bubble(t, "call-backs of running handlers finish, others are refused", func(t *testing.T) {
		goOn := make(chan struct{})
		c, p := scripted(t, Options{Handler: HandlerFunc(func(ctx context.Context, req Request) (Response, error) {
			<-goOn
			return req.Conn.Call(ctx, Request{Type: 9})
		})})
		p.send(ask(2, 1, ""))
		synctest.Wait()
		down := later(func() error { return c.Shutdown(deadline(t)) })
		synctest.Wait()
		if _, err := c.Submit(t.Context(), Request{}); !errors.Is(err, ErrClosed) || outcomeOf(t, err) != OutcomeRefused {
			t.Errorf("submitted while shutting down: %v", err)
		}
		close(goOn)
		synctest.Wait()
		p.wants(ask(2, 9, ""))
		p.send(ok(2, "called back"))
		synctest.Wait()
		p.wants(ok(2, "called back"), packetEndRequests, packetEOF)
		p.send(packetEOF)
		if err := <-down; err != nil {
			t.Error(err)
		}
	})
}

func TestDrainTimeout(t *testing.T) {
	for _, how := range []string{"Shutdown", "EndSending"} {
		bubble(t, how, func(t *testing.T) {
			h, release := held()
			c, p := scripted(t, Options{Handler: h, DrainTimeout: 3 * time.Second})
			p.send(ask(2, 1, ""))
			synctest.Wait()
			down := make(<-chan error)
			if how == "Shutdown" {
				down = later(func() error { return c.Shutdown(deadline(t)) })
			} else {
				c.EndSending()
			}
			time.Sleep(3*time.Second - 1)
			p.send(ask(3, 0, "in time"))
			synctest.Wait()
			p.wants(ok(3, "in time"))
			time.Sleep(2 * time.Nanosecond)
			p.send(ask(4, 0, "late"))
			synctest.Wait()
			p.wants(notOK(4, textRequestsEnded))
			release <- struct{}{}
			synctest.Wait()
			p.wants(ok(2, "done"), packetEndRequests, packetEOF)
			p.send(ask(5, 0, "cannot be answered any more"), packetEOF)
			if how == "Shutdown" {
				if err := <-down; err != nil {
					t.Error(err)
				}
			}
			<-c.Done()
			p.wants()
			finished(t, c, ReasonShutdown, nil)
		})
	}
}

func TestLinger(t *testing.T) {
	bubble(t, "an idle peer that never ends", func(t *testing.T) {
		c, p := scripted(t, Options{Linger: 3 * time.Second})
		begun := time.Now()
		if err := c.Shutdown(deadline(t)); err != nil {
			t.Error(err)
		}
		if d := time.Since(begun); d != 3*time.Second {
			t.Errorf("lingered %v", d)
		}
		finished(t, c, ReasonLinger, nil)
		p.wants(packetEndRequests, packetEOF)
	})

	bubble(t, "not while an answer is due after a half-close", func(t *testing.T) {
		c, p := scripted(t, Options{})
		call, err := c.Submit(deadline(t), Request{})
		if err != nil {
			t.Fatal(err)
		}
		c.EndSending()
		synctest.Wait()
		p.wants(ask(2, 0, ""), packetEndRequests, packetEOF)
		down := later(func() error { return c.Shutdown(deadline(t)) })
		time.Sleep(10 * time.Second)
		if ended(c.Done()) {
			t.Errorf("ended with a call in flight: %v", call.Outcome())
		} else {
			p.send(ok(2, "answer"))
		}
		begun := time.Now()
		if err := <-down; err != nil {
			t.Error(err)
		}
		if d := time.Since(begun); d != DefaultLinger || call.Outcome() != OutcomeOK {
			t.Errorf("lingered %v, the call: %v", d, call.Outcome())
		}
	})
}

func TestShutdownCutShort(t *testing.T) {
	for name, open := range map[string]func(c *Conn, p *peer){
		"a handler that runs on": func(_ *Conn, p *peer) { p.send(ask(2, 1, "")) },
		"a call in flight":       func(c *Conn, _ *peer) { c.Go(context.Background(), Request{}, func(Response, error) {}) },
		"the peer's EOF is due":  func(*Conn, *peer) {},
	} {
		bubble(t, name, func(t *testing.T) {
			h, _ := held()
			c, p := scripted(t, Options{Handler: h, Linger: time.Hour})
			open(c, p)
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
			defer cancel()
			begun := time.Now()
			err := c.Shutdown(ctx)
			if d := time.Since(begun); d != 7*time.Second || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrClosed) {
				t.Errorf("after %v: %v", d, err)
			}
			finished(t, c, ReasonClosed, ErrClosed)
			want := 0
			if strings.HasPrefix(name, "a handler") {
				want = 1
			}
			if n := c.Stats().Unanswered; n != want {
				t.Errorf("%d unanswered, want %d", n, want)
			}
			if again := c.Shutdown(t.Context()); again == nil || again.Error() != err.Error() {
				t.Errorf("a second Shutdown: %v", again)
			}
		})
	}
}

// Each side of the connection refuses calls at once that cannot be answered.
func TestSubmitAfterTheEnd(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(c *Conn, p *peer)
		err  error
	}{
		{"peer's EOF", func(_ *Conn, p *peer) { p.send(packetEOF) }, ErrPeerEnded},
		{"peer's stream ends", func(_ *Conn, p *peer) { p.to.Close() }, ErrPeerEnded},
		{"EndRequests", func(c *Conn, _ *peer) { c.EndRequests(); c.EndRequests() }, ErrRequestsEnded},
		{"EndSending", func(c *Conn, _ *peer) { c.EndSending(); c.EndSending() }, ErrClosed},
		{"Shutdown", func(c *Conn, _ *peer) { c.shutdown(nil, ReasonNone) }, ErrClosed},
		{"Close", func(c *Conn, _ *peer) { c.Close() }, ErrClosed},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			c, p := scripted(t, Options{MaxInFlight: 1})
			call, err := c.Submit(deadline(t), Request{})
			if err != nil {
				t.Fatal(err)
			}
			waiting := later(func() error { _, err := c.Call(deadline(t), Request{}); return err })
			synctest.Wait()
			tt.end(c, p)
			synctest.Wait()
			p.mu.Lock()
			p.got = nil
			p.mu.Unlock()
			begun := time.Now()
			_, callErr := c.Call(t.Context(), Request{})
			_, submitErr := c.Submit(t.Context(), Request{})
			gone := make(chan error, 1)
			c.Go(t.Context(), Request{}, func(_ Response, err error) { gone <- err })
			for what, err := range map[string]error{
				"Call": callErr, "Submit": submitErr, "Go": <-gone, "a call that waits to be sent": <-waiting,
			} {
				if !errors.Is(err, tt.err) || outcomeOf(t, err) != OutcomeRefused {
					t.Errorf("%s: %v, want %v", what, err, tt.err)
				}
			}
			if time.Since(begun) != 0 {
				t.Error("it was not refused at once")
			}
			p.wants()
			if tt.name == "EndRequests" || tt.name == "EndSending" || tt.name == "Shutdown" {
				p.send(ok(call.Tag(), "answer")) // the one in flight goes on
				if _, err := call.Wait(deadline(t)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestEndRequestsGoesOnServing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := scripted(t, Options{Handler: echo})
		c.EndRequests()
		c.EndRequests()
		synctest.Wait()
		p.wants(packetEndRequests)
		p.send(ask(2, 0, "serve me"))
		synctest.Wait()
		p.wants(ok(2, "serve me"))
		down := later(func() error { return c.Shutdown(deadline(t)) })
		synctest.Wait()
		p.wants(packetEOF)
		p.send(packetEndRequests, packetEndRequests, packetEOF)
		if err := <-down; err != nil {
			t.Error(err)
		}
	})
}

func TestHalfClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := tap(EventRequestDropped)
		c, p := scripted(t, Options{Handler: echo, Observer: seen})
		call, err := c.Submit(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		c.EndSending()
		synctest.Wait()
		p.wants(ask(2, 0, ""), packetEndRequests, packetEOF)
		time.Sleep(time.Hour)
		p.send(ask(2, 0, "comes after our EOF"), ok(2, "answer"))
		if resp, err := call.Wait(deadline(t)); err != nil || string(resp.Payload) != "answer" {
			t.Errorf("%q, %v", resp.Payload, err)
		}
		if e := seen.next(deadline(t), t, EventRequestDropped); e.Packet.Tag != 2 {
			t.Errorf("dropped %v", e.Packet)
		}
		p.send(packetEndRequests, packetEOF)
		<-c.Done() // both directions have ended
		p.wants()
		finished(t, c, ReasonShutdown, nil)
	})
}

// What is to be done after receiving is done once, whether it was said before or after.
func TestAfterReceived(t *testing.T) {
	for name, end := range map[string]func(c *Conn, p *peer){
		"the peer's EOF": func(_ *Conn, p *peer) { p.send(packetEOF) },
		"closed":         func(c *Conn, _ *peer) { c.Close() },
	} {
		bubble(t, name, func(t *testing.T) {
			c, p := scripted(t, Options{})
			var early, late atomic.Int32
			c.AfterReceived(func() { early.Add(1) })
			c.AfterReceived(func() { <-c.Received(); early.Add(1) })
			synctest.Wait()
			if early.Load() != 0 {
				t.Error("it was done before")
			}
			end(c, p)
			synctest.Wait()
			c.AfterReceived(func() { late.Add(1) })
			synctest.Wait()
			if early.Load() != 2 || late.Load() != 1 {
				t.Errorf("done %d and %d times, want 2 and 1", early.Load(), late.Load())
			}
			c.Close()
		})
	}
}
