package stream

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// takeRequest reads a client's hello, and the request behind it.
func takeRequest(far net.Conn) error {
	d := NewDecoder(far)
	_, _, _ = d.Decode() // the next one fails, too
	_, _, err := d.Decode()
	return err
}

// What becomes of a call whose connection is lost: only what was never sent, or
// may be repeated, goes out again.
func TestClientRepeats(t *testing.T) {
	var took atomic.Int64
	// Two peers that take one request and hang up, then one that serves.
	drop := func(x *exchange) {
		x.answer = func(_ context.Context, n int, far net.Conn) error {
			if n == 3 {
				x.serve(far, Options{Handler: echo})
				return nil
			}
			go func() {
				if takeRequest(far) == nil {
					took.Add(1)
				}
				far.Close()
			}()
			return nil
		}
	}
	// The first two streams fail before they take a byte.
	broken := errors.New("broken")
	stuck := func(n int, near net.Conn) io.Writer {
		if n == 3 {
			return near
		}
		return &sink{take: func([]byte) (int, error) { time.Sleep(time.Second); return 0, broken }}
	}
	for name, c := range map[string]struct {
		takes, idempotent bool
		attempts          int
		wantTook          int64
		wantDials         int
		wantSent, wantOK  bool
	}{
		"sent":                         {true, false, 4, 1, 1, true, false},
		"sent, idempotent":             {true, true, 4, 2, 3, false, true},
		"sent, idempotent, too often":  {true, true, 2, 2, 2, true, false},
		"never sent":                   {false, false, 4, 0, 3, false, true},
		"never sent, too often":        {false, false, 2, 0, 2, false, false},
		"never sent, only one attempt": {false, true, 1, 0, 1, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			exchanged(t, func(t *testing.T, x *exchange) {
				took.Store(0)
				if drop(x); !c.takes {
					x.writer = stuck
				}
				client := x.client(ClientOptions{DialAttempts: c.attempts})
				_, err := client.Call(t.Context(), Request{Idempotent: c.idempotent})
				e := (*Error)(nil)
				switch {
				case c.wantOK && err != nil:
					t.Error(err)
				case !c.wantOK && (!errors.Is(err, ErrConnectionLost) || !errors.As(err, &e) || e.Sent != c.wantSent):
					t.Errorf("%v, want a lost connection, sent %t", err, c.wantSent)
				}
				if took.Load() != c.wantTook || len(x.dials) != c.wantDials {
					t.Errorf("taken %d times, dialled %d times, want %d and %d", took.Load(), len(x.dials), c.wantTook, c.wantDials)
				}
			})
		})
	}
}

// What was sent once may have been served, whatever becomes of later attempts.
func TestClientRemembersThatARequestWasSent(t *testing.T) {
	for name, c := range map[string]struct {
		later   func(cancel context.CancelFunc, client *Client) // while the second attempt is dialled
		outcome Outcome
	}{
		"given up":          {func(cancel context.CancelFunc, _ *Client) { cancel() }, OutcomeCanceled},
		"the client closes": {func(_ context.CancelFunc, client *Client) { go client.Close() }, OutcomeLost},
		"nobody answers":    {func(context.CancelFunc, *Client) {}, OutcomeLost},
	} {
		t.Run(name, func(t *testing.T) {
			exchanged(t, func(t *testing.T, x *exchange) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var client *Client
				x.answer = func(_ context.Context, n int, far net.Conn) error {
					if n > 1 {
						c.later(cancel, client)
						return errors.New("nobody listens")
					}
					go func() {
						_ = takeRequest(far)
						far.Close()
					}()
					return nil
				}
				client = x.client(ClientOptions{})
				_, err := client.Call(ctx, Request{Idempotent: true})
				if e := (*Error)(nil); !errors.As(err, &e) || e.Outcome != c.outcome || !e.Sent {
					t.Errorf("%v, want %v, after it was sent", err, c.outcome)
				}
			})
		})
	}
}

// A rejected request is answered, so it is not sent again, and neither is one
// that this side refuses.
func TestClientDoesNotRepeatAnswers(t *testing.T) {
	exchanged(t, func(t *testing.T, x *exchange) {
		served := 0
		x.answer = func(_ context.Context, _ int, far net.Conn) error {
			x.serve(far, Options{Handler: HandlerFunc(func(context.Context, Request) (Response, error) {
				served++
				return Response{}, Reject("not today")
			})})
			return nil
		}
		c := x.client(ClientOptions{})
		for req, want := range map[*Request]Outcome{
			{Idempotent: true}:             OutcomeRejected,
			{Idempotent: true, Channel: 5}: OutcomeRefused,
		} {
			_, err := c.Call(t.Context(), *req)
			if e := (*Error)(nil); !errors.As(err, &e) || e.Outcome != want {
				t.Errorf("%v, want %v", err, want)
			}
		}
		if served != 1 || len(x.dials) != 1 {
			t.Errorf("served %d times, dialled %d times", served, len(x.dials))
		}
	})
}

// A server that takes connections and drops them at once is dialled no faster
// than one that takes none.
func TestClientMakesNoHotLoop(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, c *Client) error{
		"call": func(ctx context.Context, c *Client) error {
			_, err := c.Call(ctx, Request{Idempotent: true})
			return err
		},
		"submit": func(ctx context.Context, c *Client) error {
			call, err := c.Submit(ctx, Request{})
			if err == nil {
				_, err = call.Wait(ctx)
			}
			return err
		},
		"open": func(ctx context.Context, c *Client) error {
			conn, release, err := c.Open(ctx)
			if err == nil {
				<-conn.Received()
				release()
				err = errors.New("lost again")
			}
			return err
		},
	} {
		for _, keep := range []time.Duration{-1, 0} {
			t.Run(name, func(t *testing.T) {
				exchanged(t, func(t *testing.T, x *exchange) {
					x.answer = func(_ context.Context, _ int, far net.Conn) error { return far.Close() }
					c := x.client(ClientOptions{KeepOpen: keep, Random: func() float64 { return 1 }})
					var wg sync.WaitGroup
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					for range 3 {
						wg.Go(func() {
							for ctx.Err() == nil {
								if err := call(ctx, c); err == nil {
									t.Error("no error from a server that drops everything")
								}
								time.Sleep(time.Millisecond)
							}
						})
					}
					wg.Wait()
					// 8 until the pauses are at half of 10 s, then one in 5 s.
					if n := len(x.dials); n < 10 || n > 25 {
						t.Errorf("dialled %d times in a minute: %v", n, x.dials)
					}
				})
			})
		}
	}
}

// Shutdown and Close end a client in whatever state it is.
func TestClientEnds(t *testing.T) {
	ends := map[string]func(c *Client) error{
		"close":    (*Client).Close,
		"shutdown": func(c *Client) error { return c.Shutdown(context.Background()) },
		"shutdown with a limit": func(c *Client) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = c.Shutdown(ctx)
			return nil
		},
	}
	type state func(t *testing.T, x *exchange, c *Client)
	call := func(want error) state {
		return func(t *testing.T, _ *exchange, c *Client) {
			go func() {
				_, err := c.Call(t.Context(), Request{Type: 1})
				if want != nil && !errors.Is(err, want) {
					t.Errorf("the call: %v, want %v", err, want)
				}
			}()
			synctest.Wait()
		}
	}
	for name, state := range map[string]state{
		"never used": func(*testing.T, *exchange, *Client) {},
		"dialling": func(t *testing.T, x *exchange, c *Client) {
			x.answer = func(ctx context.Context, _ int, _ net.Conn) error { <-ctx.Done(); return ctx.Err() }
			call(ErrClosed)(t, x, c)
		},
		"dialling, which is not told": func(t *testing.T, x *exchange, c *Client) {
			x.answer = func(context.Context, int, net.Conn) error { time.Sleep(10 * time.Second); return nil }
			call(ErrClosed)(t, x, c)
		},
		"backing off": func(t *testing.T, x *exchange, c *Client) {
			x.answer = func(context.Context, int, net.Conn) error { return io.ErrUnexpectedEOF }
			call(ErrClosed)(t, x, c)
		},
		"idle":           func(t *testing.T, _ *exchange, c *Client) { mustCall(t, c, "") },
		"call in flight": call(nil),
		"held": func(t *testing.T, _ *exchange, c *Client) {
			if _, _, err := c.Open(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		"peer hangs": func(t *testing.T, x *exchange, c *Client) {
			x.answer = func(context.Context, int, net.Conn) error { return nil }
			if _, err := c.Submit(t.Context(), Request{}); err != nil {
				t.Fatal(err)
			}
		},
		"lost": func(t *testing.T, x *exchange, c *Client) {
			mustCall(t, c, "")
			x.far[0].Close()
			synctest.Wait()
		},
		"closed": func(_ *testing.T, _ *exchange, c *Client) { c.Close() },
	} {
		for how, end := range ends {
			if name == "peer hangs" && how == "shutdown" {
				continue // it waits for the answer as long as it is let
			}
			for _, keep := range []time.Duration{-1, 0} {
				t.Run(name+"/"+how, func(t *testing.T) {
					exchanged(t, func(t *testing.T, x *exchange) {
						x.answer = func(_ context.Context, _ int, far net.Conn) error {
							m := new(Mux)
							m.Handle(0, "Echo", echo)
							m.HandleFunc(1, "Slow", func(ctx context.Context, _ Request) (Response, error) {
								select {
								case <-time.After(5 * time.Second):
								case <-ctx.Done():
								}
								return Response{}, nil
							})
							x.serve(far, Options{Handler: m})
							return nil
						}
						c := x.client(ClientOptions{KeepOpen: keep, Conn: Options{WriteTimeout: 5 * time.Second}})
						state(t, x, c)
						began := time.Now()
						var wg sync.WaitGroup
						for range 3 {
							wg.Go(func() {
								if err := end(c); err != nil {
									t.Error(err)
								}
							})
						}
						wg.Wait()
						if took := time.Since(began); took > 10*time.Second {
							t.Errorf("it took %v", took)
						}
						dials := len(x.dials)
						_, err := c.Call(t.Context(), Request{})
						e := (*Error)(nil)
						if !errors.Is(err, ErrClosed) || !errors.As(err, &e) || e.Outcome != OutcomeRefused {
							t.Errorf("a call afterwards: %v", err)
						}
						if _, _, err := c.Open(t.Context()); !errors.Is(err, ErrClosed) {
							t.Errorf("opened afterwards: %v", err)
						}
						if len(x.dials) != dials {
							t.Error("dialled afterwards")
						}
						for _, p := range x.peers {
							<-p.Done()
						}
					})
				})
			}
		}
	}
}

// Ends among calls, over real sockets: every call has an outcome, every stream is
// closed once, whatever the moment.
func TestClientEndsUnderUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var serving sync.WaitGroup
	defer serving.Wait()
	defer ln.Close()
	serving.Go(func() {
		for n := 0; ; n++ {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			c, err := NewConn(nc, Options{Handler: echo})
			if err != nil {
				t.Error(err)
				return
			}
			serving.Go(func() {
				defer nc.Close()
				if n%5 == 4 {
					c.Close()
				}
				<-c.Received()
				_ = c.Shutdown(deadline(t))
			})
		}
	})
	for round := range 30 {
		var opened, closed atomic.Int64
		dial := func(ctx context.Context) (io.ReadWriter, func() error, error) {
			s, closeStream, err := DialNetwork("tcp", ln.Addr().String())(ctx)
			if err != nil {
				return nil, nil, err
			}
			opened.Add(1)
			return s, func() error { closed.Add(1); return closeStream() }, nil
		}
		c, err := NewClient(dial, ClientOptions{KeepOpen: []time.Duration{-1, 1, 0}[round%3], MinBackoff: 1, MaxBackoff: 1})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var calls atomic.Int64
		enough := make(chan struct{})
		for range 8 {
			wg.Go(func() {
				for {
					_, err := c.Call(t.Context(), Request{Payload: make([]byte, 100)})
					c.mu.Lock()
					over := c.closed
					c.mu.Unlock()
					if over && errors.Is(err, ErrClosed) {
						return
					}
					if e := (*Error)(nil); err != nil && !errors.As(err, &e) {
						t.Error(err)
					}
					if calls.Add(1) == int64(10*round) {
						close(enough)
					}
				}
			})
		}
		if round > 0 {
			<-enough
		}
		if round%2 == 0 {
			_ = c.Shutdown(deadline(t))
		} else {
			c.Close()
		}
		if opened.Load() != closed.Load() {
			t.Errorf("%d streams opened, %d closed", opened.Load(), closed.Load())
		}
		wg.Wait()
	}
}

// A call over a connection that is held open, but whose peer has gone, says so:
// it is not this side that has closed it.
func TestHeldConnectionWhosePeerHasGone(t *testing.T) {
	exchanged(t, func(t *testing.T, x *exchange) {
		c := x.client(ClientOptions{})
		conn, release, err := c.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		synctest.Wait() // nothing is being written any more
		x.far[0].Close()
		<-conn.Done()
		if _, err := conn.Call(t.Context(), Request{}); !errors.Is(err, ErrPeerEnded) || errors.Is(err, ErrClosed) {
			t.Errorf("%v, want %v", err, ErrPeerEnded)
		}
		mustCall(t, c, "over a new one")
	})
}

// Who waited in vain is told how often it was tried, and why the last time failed.
func TestClientTellsWhyItGaveUp(t *testing.T) {
	exchanged(t, func(t *testing.T, x *exchange) {
		refused := errors.New("nobody listens")
		x.answer = func(context.Context, int, net.Conn) error { return refused }
		_, err := x.client(ClientOptions{DialAttempts: 3}).Call(t.Context(), Request{})
		if !errors.Is(err, refused) || !strings.HasSuffix(err.Error(), ": dialled 3 times, last: nobody listens") {
			t.Error(err)
		}
	})
}
