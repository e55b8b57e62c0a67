package stream

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// quickly is a connection whose type 0 has proved to be quick, and whose peer is
// played by the test. In a bubble time stands still while handlers run.
func quickly(t *testing.T, o Options) (*Conn, *peer) {
	t.Helper()
	c, p := scripted(t, o)
	for range roleWarmUp + int(paceProof) {
		p.send(ask(1<<20, 0, ""))
		synctest.Wait()
		p.take()
	}
	if pace := c.ch0.own; !pace.quick.Load() {
		t.Fatal("it has not proved to be quick")
	}
	p.send(ask(1<<20, 0, "now it runs on the reader"))
	synctest.Wait()
	p.wants(ok(1<<20, "now it runs on the reader"))
	if !c.role.watching.Load() {
		t.Fatal("nobody watches")
	}
	return c, p
}

// odd is a handler that echoes, unless the payload asks for something else.
func odd(release <-chan struct{}) Handler {
	return HandlerFunc(func(ctx context.Context, req Request) (Response, error) {
		switch string(req.Payload) {
		case "wait":
			<-release
		case "end":
			<-ctx.Done()
			return Response{}, ctx.Err()
		case "call back":
			return req.Conn.Call(ctx, Request{Payload: []byte("back")})
		case "call back otherwise":
			return req.Conn.Call(context.Background(), Request{Payload: []byte("back")})
		case "panic":
			panic("on purpose")
		case "exit":
			runtime.Goexit()
		case "wait and exit":
			<-release
			runtime.Goexit()
		case "close":
			_ = req.Conn.Close()
		}
		return Response{Payload: req.Payload}, nil
	})
}

// A handler that waits on the reader loses its role, and all goes on: those behind it
// are served, it is answered when it has ended, and its type starts anew.
func TestRoleIsTaken(t *testing.T) {
	for _, how := range []string{"wait", "wait and exit"} {
		bubble(t, how, func(t *testing.T) {
			release := make(chan struct{})
			c, p := quickly(t, Options{Handler: odd(release)})
			p.send(ask(2, 0, "before"), ask(3, 0, how), ask(4, 0, "behind"))
			synctest.Wait()
			p.wants() // the answer to the first waits for the end of the batch
			time.Sleep(2 * quietTick)
			synctest.Wait()
			p.wants(ok(2, "before"), ok(4, "behind"))
			if pace := c.ch0.own; pace.quick.Load() {
				t.Error("it still counts as quick")
			}
			if s := c.Stats(); s.Serving != 1 {
				t.Errorf("%+v", s)
			}
			close(release)
			synctest.Wait()
			if how == "wait" {
				p.wants(ok(3, "wait"))
			} else {
				p.wants(notOK(3, textFailed))
			}
			p.send(ask(5, 0, "later"))
			synctest.Wait()
			p.wants(ok(5, "later"))
			c.Close()
		})
	}
}

// A handler that calls back over its own connection gives the role away at once, if
// that can be seen from its context, and else loses it.
func TestRoleIsHandedOver(t *testing.T) {
	for how, after := range map[string]time.Duration{"call back": 0, "call back otherwise": 2 * quietTick} {
		bubble(t, how, func(t *testing.T) {
			c, p := quickly(t, Options{Handler: odd(nil)})
			p.send(ask(3, 0, how))
			synctest.Wait()
			p.wants(ask(2, 0, "back"))
			start := time.Now()
			p.send(ok(2, "answer"))
			want := wire(ok(3, "answer"))
			var got []byte
			for len(got) < len(want) && time.Since(start) < time.Second {
				time.Sleep(quietTick / 4)
				synctest.Wait()
				got = append(got, p.take()...)
			}
			if took := time.Since(start); string(got) != string(want) || took > after+quietTick/4 {
				t.Errorf("%s after %v", describe(got), took)
			}
			c.Close()
		})
	}
}

// A handler may end on the reader in any way.
func TestRoleOutlivesHandlers(t *testing.T) {
	for _, how := range []string{"panic", "exit"} {
		bubble(t, how, func(t *testing.T) {
			c, p := quickly(t, Options{Handler: odd(nil)})
			p.send(ask(3, 0, how), ask(4, 0, "next"))
			synctest.Wait()
			p.wants(notOK(3, textFailed), ok(4, "next"))
			c.Close()
		})
	}
}

// A connection ends while a handler has its reader: the handler learns of it, and
// nothing is left.
func TestRoleAtTheEnd(t *testing.T) {
	for how, end := range map[string]func(c *Conn, p *peer){
		"closed":             func(c *Conn, _ *peer) { c.Close() },
		"the peer hangs up":  func(_ *Conn, p *peer) { p.to.Close() },
		"closed by itself":   func(_ *Conn, p *peer) { p.send(ask(4, 0, "close")) },
		"shut down in order": func(c *Conn, _ *peer) { go func() { _ = c.Shutdown(context.Background()) }() },
	} {
		bubble(t, how, func(t *testing.T) {
			held := buffersHeld.Load()
			c, p := quickly(t, Options{Handler: odd(nil), DrainTimeout: time.Second, Linger: time.Second})
			p.send(ask(3, 0, "end"))
			synctest.Wait()
			end(c, p)
			time.Sleep(time.Minute)
			if how == "shut down in order" { // which waits for the handler
				c.Close()
			}
			if how == "the peer hangs up" {
				_ = c.Shutdown(deadline(t))
				c.Close()
			}
			<-c.Done()
			synctest.Wait()
			if s := c.Stats(); s.Serving != 0 || s.Queued != 0 {
				t.Errorf("%+v", s)
			}
			if n := buffersHeld.Load() - held; n != 0 {
				t.Errorf("%d buffers are not given back", n)
			}
		})
	}
}

// The watch ends when nothing comes, and where little comes it does not begin.
func TestRoleIsWatchedWhileNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := quickly(t, Options{Handler: odd(nil)})
		time.Sleep(3 * quietTick)
		if c.role.watching.Load() {
			t.Error("it goes on")
		}
		for tag := range uint64(roleWarmUp - 1) {
			p.send(ask(2+tag, 0, ""))
			time.Sleep(time.Second)
		}
		if c.role.watching.Load() || c.role.turn.Load()%2 != 0 {
			t.Error("a handler ran on the reader")
		}
		c.Close()
	})
}

// Thousands of thefts at any moment, with handlers of any duration: each request has
// its one answer.
func TestRoleUnderThieves(t *testing.T) {
	for _, network := range []string{"pipe", "tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			var handled atomic.Int64
			slow := HandlerFunc(func(_ context.Context, req Request) (Response, error) {
				if handled.Add(1)%17 == 0 {
					<-time.After(50 * time.Microsecond)
				}
				return Response{Flags: req.Flags, Payload: req.Payload}, nil
			})
			a, b := connected(t, network, Options{}, Options{Handler: slow})
			stop := make(chan struct{})
			thefts := later(func() (n int) {
				for {
					select {
					case <-stop:
						return n
					default:
					}
					pace := b.ch0.own
					pace.quick.Store(true) // so that there is always something to take
					if turn := b.role.turn.Load(); turn%2 == 1 && b.takeRole(turn) {
						n++
					}
					runtime.Gosched()
				}
			})
			ctx := deadline(t)
			const callers, requests = 16, 1500
			errs := make(chan error, callers)
			for caller := range callers {
				go func() {
					for i := range requests {
						payload := strings.Repeat("x", 1+i%50)
						resp, err := a.Call(ctx, Request{Flags: uint64(caller*requests + i), Payload: []byte(payload)})
						if err != nil || resp.Flags != uint64(caller*requests+i) || string(resp.Payload) != payload {
							errs <- err
							return
						}
					}
					errs <- nil
				}()
			}
			for range callers {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			close(stop)
			t.Logf("%d thefts", <-thefts)
			if handled.Load() != callers*requests {
				t.Errorf("%d requests were handled, want %d", handled.Load(), callers*requests)
			}
			atRest(t, a, b)
		})
	}
}

// What is answered in a long batch does not wait for its end.
func TestAnswersAreNotHeldForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const took = 10 * time.Microsecond
		m := new(Mux)
		m.Inline(0, "Echo", HandlerFunc(func(_ context.Context, req Request) (Response, error) {
			time.Sleep(took)
			return Response{}, nil
		}))
		c, p := scripted(t, Options{Handler: m})
		var batch []Packet
		for tag := range uint64(100) {
			batch = append(batch, ask(2+tag, 0, ""))
		}
		p.send(batch...)
		for i := range 4 {
			time.Sleep(maxHeld + 2*paceSample*took)
			synctest.Wait()
			if len(p.take()) == 0 && i < 2 {
				t.Errorf("nothing has come in the %d. part", i+1)
			}
		}
		if s := c.Stats(); s.ResponsesSent != 100 {
			t.Errorf("%+v", s)
		}
		c.Close()
	})
}

// What is asked anew does not wait for the answers to all others of a long batch.
func TestRequestsAreNotHeldForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const took, many = 10 * time.Microsecond, 8 * maxArrivals
		c, p := scripted(t, Options{})
		var done func(Response, error)
		asked := 0
		done = func(_ Response, err error) {
			time.Sleep(took) // of the test's own clock
			if err == nil && asked < 2*many {
				asked++
				c.Go(context.Background(), Request{}, done)
			}
		}
		asked = many
		for range many {
			c.Go(context.Background(), Request{}, done)
		}
		synctest.Wait()
		var batch []Packet
		for tag := range uint64(many) {
			batch = append(batch, ok(firstTag+tag, ""))
		}
		p.take()
		p.send(batch...)
		time.Sleep(maxHeldCalls + 2*maxArrivals*took)
		synctest.Wait()
		if s := c.Stats(); len(p.take()) == 0 || s.CallsAnswered == many {
			t.Errorf("nothing has been sent, or too late: %+v", s)
		}
		c.Close()
		synctest.Wait()
	})
}

// Nor does it wait for those who lose the role one after the other.
func TestAnswersAreNotHeldByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		m := new(Mux)
		m.Inline(0, "Odd", odd(release))
		c, p := scripted(t, Options{Handler: m})
		p.send(ask(2, 0, "before"), ask(3, 0, "wait"), ask(4, 0, "wait"), ask(5, 0, "behind"))
		time.Sleep(2*quietTick + quietTick/2)
		synctest.Wait()
		p.wants(ok(2, "before"))
		time.Sleep(2 * quietTick)
		synctest.Wait()
		p.wants(ok(5, "behind"))
		for tag := range uint64(2) { // in the order in which they wait
			release <- struct{}{}
			synctest.Wait()
			p.wants(ok(3+tag, "wait"))
		}
		c.Close()
	})
}
