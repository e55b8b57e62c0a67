package stream

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Calls that wait for a place go in the order in which they came.
func TestGateFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := net.Pipe()
		defer peer.Close()
		c := mustConn(t, ours, Options{MaxInFlight: 1})
		const n = 20
		for i := range uint64(n) {
			go func() {
				if _, err := c.Call(t.Context(), Request{Type: i}); err != nil {
					t.Error(err)
				}
			}()
			synctest.Wait()
		}
		d := NewDecoder(peer)
		for i := range uint64(n) {
			p, _, err := d.Decode()
			if err != nil {
				t.Fatal(err)
			}
			if p.Type != i || p.Tag != firstTag+i {
				t.Errorf("request %d is %v", i, p)
			}
			if s := c.Stats(); s.InFlight != 1 || len(c.gate.calls) != n-1-int(i) {
				t.Errorf("%d in flight, %d wait", s.InFlight, len(c.gate.calls))
			}
			if _, err := peer.Write(wire(Packet{Kind: KindResponse, Tag: p.Tag, OK: true})); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		atRest(t, c)
	})
}

// One whose context ends while it waits leaves the line, and what it was woken
// for goes to the next.
func TestGateContextEndsWhileWaiting(t *testing.T) {
	for _, first := range []string{"answer", "cancel"} {
		t.Run(first, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, peer := net.Pipe()
				defer peer.Close()
				c := mustConn(t, ours, Options{MaxInFlight: 1})
				call, err := c.Submit(t.Context(), Request{})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				outcomes := make(chan error, 3)
				for _, ctx := range []context.Context{ctx, t.Context()} {
					go func() {
						_, err := c.Submit(ctx, Request{Type: 5})
						outcomes <- err
					}()
					synctest.Wait()
				}
				// Both at once: the waiter may be woken by either.
				c.mu.Lock()
				if first == "cancel" {
					cancel()
				}
				c.ch0.calls.take(call.tag)
				c.inFlight--
				c.gate.wake(c)
				cancel()
				c.mu.Unlock()
				synctest.Wait()
				if len(outcomes) == 1 && first == "answer" {
					// It had looked at its context before that ended, and went on.
					if err := <-outcomes; err != nil {
						t.Errorf("the one that was woken: %v", err)
					}
					c.mu.Lock()
					c.ch0.calls.take(call.tag + 1)
					c.inFlight--
					c.gate.wake(c)
					c.mu.Unlock()
					synctest.Wait()
					outcomes <- &Error{Outcome: OutcomeCanceled, Err: context.Canceled}
				}

				e := (*Error)(nil)
				one, two := <-outcomes, <-outcomes
				if one == nil {
					one, two = two, one
				}
				if !errors.As(one, &e) || e.Outcome != OutcomeCanceled || e.Sent || e.Tag != 0 || !errors.Is(one, context.Canceled) {
					t.Errorf("the one whose context ended: %v", one)
				}
				if two != nil || len(c.gate.calls) != 0 || c.Stats().InFlight != 1 {
					t.Errorf("the next: %v, %d wait", two, len(c.gate.calls))
				}
			})
		})
	}
}

// Waiting ends when the connection does, or when this side ends its requests.
func TestGateEndsWithConnection(t *testing.T) {
	for name, end := range map[string]struct {
		do   func(c *Conn, peer net.Conn)
		want error
	}{
		"close":        {func(c *Conn, _ net.Conn) { c.Close() }, ErrClosed},
		"shutdown":     {func(c *Conn, _ net.Conn) { c.shutdown(nil, ReasonNone) }, ErrClosed},
		"end requests": {func(c *Conn, _ net.Conn) { c.EndRequests() }, ErrRequestsEnded},
		"peer ends":    {func(_ *Conn, peer net.Conn) { _, _ = peer.Write(wire(packetEOF)) }, ErrPeerEnded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, peer := net.Pipe()
				defer peer.Close()
				c := mustConn(t, ours, Options{MaxInFlight: 1})
				if _, err := c.Submit(t.Context(), Request{}); err != nil {
					t.Fatal(err)
				}
				refused := make(chan error, 1)
				go func() {
					_, err := c.Submit(t.Context(), Request{})
					refused <- err
				}()
				synctest.Wait()
				end.do(c, peer)
				e := (*Error)(nil)
				if err := <-refused; !errors.Is(err, end.want) || !errors.As(err, &e) || e.Outcome != OutcomeRefused {
					t.Errorf("refused with %v, want %v", err, end.want)
				}
			})
		})
	}
}

// An answer does not overtake those that wait already, even if there is room.
func TestAnswersWaitInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := net.Pipe()
		defer peer.Close()
		c := mustConn(t, ours, Options{Handler: echo})
		before := make(waiter, 1)
		c.mu.Lock()
		c.gate.answers = line{before}
		c.mu.Unlock()
		if _, err := peer.Write(wire(Packet{Tag: 2})); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := c.Stats(); s.ResponsesSent != 0 || s.Serving != 1 {
			t.Errorf("the answer has overtaken: %+v", s)
		}
		c.mu.Lock()
		c.gate.answers = c.gate.answers[1:]
		c.gate.wake(c)
		c.mu.Unlock()
		if p, _, err := NewDecoder(peer).Decode(); err != nil || p.Tag != 2 {
			t.Errorf("got %v, %v", p, err)
		}
	})
}

// Callers whose contexts end at every moment lose no wake-up to the others.
func TestGateLosesNoWakeUp(t *testing.T) {
	for _, o := range []Options{{MaxInFlight: 2}, {SendBuffer: 1}, {MaxInFlight: 3, SendBuffer: 20, FlushDelay: 10 * time.Microsecond}} {
		o.Handler = echo
		a, b := connected(t, "pipe", o, o)
		var wg sync.WaitGroup
		var ok, ended atomic.Int64
		for _, c := range []*Conn{a, b} {
			for g := range uint64(16) {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(g, 7))
					for range 200 {
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(300))*time.Microsecond)
						if g%4 == 0 { // some are patient
							ctx = deadline(t)
						}
						_, err := c.Call(ctx, Request{Payload: make([]byte, r.IntN(40))})
						cancel()
						e := (*Error)(nil)
						switch {
						case err == nil:
							ok.Add(1)
						case g%4 != 0 && errors.As(err, &e) && (e.Outcome == OutcomeDeadline):
							ended.Add(1)
						default:
							t.Error(err)
						}
					}
				})
			}
		}
		wg.Wait()
		atRest(t, a, b)
		if ok.Load() < 1600 || ok.Load()+ended.Load() != 6400 {
			t.Errorf("%d answered, %d ended", ok.Load(), ended.Load())
		}
	}
}

// done runs on the reader. A request that it submits must not wait there for the
// writer, nor for a place that only the reader can free.
func TestGoFromDoneWaitsForNothing(t *testing.T) {
	for name, o := range map[string]Options{"send buffer": {SendBuffer: 1}, "in flight": {MaxInFlight: 4}} {
		t.Run(name, func(t *testing.T) {
			o.Handler = echo
			a, b := connected(t, "pipe", o, o)
			ctx := deadline(t)
			var wg sync.WaitGroup
			for _, c := range []*Conn{a, b} {
				for range 3 {
					left := 300
					wg.Add(1)
					var next func(Response, error)
					next = func(resp Response, err error) {
						if err != nil || len(resp.Payload) != 100 {
							t.Errorf("%d bytes, %v", len(resp.Payload), err)
						}
						if left--; left == 0 || err != nil {
							wg.Done()
							return
						}
						c.Go(ctx, Request{Payload: make([]byte, 100)}, next)
					}
					c.Go(ctx, Request{Payload: make([]byte, 100)}, next)
				}
				for range 8 { // they take the places that done sees free
					wg.Go(func() {
						for range 100 {
							if _, err := c.Call(ctx, Request{Payload: make([]byte, 10)}); err != nil {
								t.Error(err)
								return
							}
						}
					})
				}
			}
			wg.Wait()
			atRest(t, a, b)
		})
	}
}
