package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// exchange connects a client with peers over pipes, and notes what it did.
type exchange struct {
	t     testing.TB
	began time.Time
	// answer is who takes the n-th call, from 1; an error is a failed dial. Nil
	// serves it with echo.
	answer func(ctx context.Context, n int, far net.Conn) error
	// writer, if set, may replace the writing side of the n-th stream.
	writer func(n int, near net.Conn) io.Writer

	mu     sync.Mutex
	dials  []time.Duration // since began
	closed []int           // how often the n-th stream's close function was called
	far    []net.Conn
	peers  []*Conn // of those served here
}

func (x *exchange) dial(ctx context.Context) (io.ReadWriter, func() error, error) {
	near, far := net.Pipe()
	x.mu.Lock()
	x.dials = append(x.dials, time.Since(x.began))
	x.closed, x.far = append(x.closed, 0), append(x.far, far)
	n := len(x.dials)
	x.mu.Unlock()
	if n > 2000 {
		x.t.Error("it dials again and again")
		return nil, nil, errors.New("enough")
	}
	hangUp := func() error {
		x.mu.Lock()
		x.closed[n-1]++
		x.mu.Unlock()
		return near.Close()
	}
	if x.answer == nil {
		x.serve(far, Options{Handler: echo})
	} else if err := x.answer(ctx, n, far); err != nil {
		return nil, hangUp, err
	}
	if x.writer != nil {
		return Join(near, x.writer(n, near)), hangUp, nil
	}
	return near, hangUp, nil
}

// serve runs a peer until the other side ends.
func (x *exchange) serve(far net.Conn, o Options) {
	c, err := NewConn(far, o)
	if err != nil {
		x.t.Error(err)
		return
	}
	x.mu.Lock()
	x.peers = append(x.peers, c)
	x.mu.Unlock()
	go func() {
		<-c.Received()
		_ = c.Shutdown(context.Background())
		far.Close()
	}()
}

// client returns a client of the exchange, closed at the end, when every stream
// must have been closed exactly once.
func (x *exchange) client(o ClientOptions) *Client {
	x.t.Helper()
	c, err := NewClient(x.dial, o)
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() {
		c.Close()
		x.mu.Lock()
		defer x.mu.Unlock()
		for i, n := range x.closed {
			x.far[i].Close()
			if n != 1 {
				x.t.Errorf("stream %d of %d was closed %d times", i+1, len(x.closed), n)
			}
		}
	})
	return c
}

func (x *exchange) dialled(want ...time.Duration) {
	x.t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	if !slices.Equal(x.dials, want) {
		x.t.Errorf("dialled at %v, want %v", x.dials, want)
	}
}

func exchanged(t *testing.T, f func(t *testing.T, x *exchange)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, &exchange{t: t, began: time.Now()}) })
}

func mustCall(t testing.TB, c *Client, text string) {
	t.Helper()
	if resp, err := c.Call(t.Context(), Request{Payload: []byte(text)}); err != nil || string(resp.Payload) != text {
		t.Errorf("%q, %v, want %q", resp.Payload, err, text)
	}
}

// Opened three times it dials three times, with tags from 2 and names in
// sequence; holds are counted.
func TestClientCountsHolds(t *testing.T) {
	exchanged(t, func(t *testing.T, x *exchange) {
		c := x.client(ClientOptions{KeepOpen: -1, Conn: Options{Name: "ref"}})
		synctest.Wait()
		x.dialled() // not before the first use
		for i := range 3 {
			conn, release, err := c.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			again, releaseAgain, err := c.Open(t.Context())
			if err != nil || again != conn {
				t.Fatalf("opened another connection while one is open: %v", err)
			}
			if want := []string{"ref", "ref-2", "ref-3"}[i]; conn.Name() != want {
				t.Errorf("named %s, want %s", conn.Name(), want)
			}
			release()
			release() // counts once
			for tag := uint64(2); tag < 5; tag++ {
				call, err := c.Submit(t.Context(), Request{})
				if err != nil || call.Tag() != tag {
					t.Fatalf("tag %d, %v, want %d", call.Tag(), err, tag)
				}
				if _, err := call.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if ended(conn.Done()) {
				t.Error("closed while it is held open")
			}
			releaseAgain()
			<-conn.Done()
			if conn.Reason() != ReasonShutdown {
				t.Error(conn.Reason())
			}
		}
		x.dialled(0, 0, 0)
	})
}

// Without a hold the connection is open while something is in flight.
func TestClientClosesWhenAnswered(t *testing.T) {
	exchanged(t, func(t *testing.T, x *exchange) {
		c := x.client(ClientOptions{KeepOpen: -1})
		mustCall(t, c, "one")
		synctest.Wait()
		if c.current.Load() != nil {
			t.Error("open after a call")
		}
		first, err := c.Submit(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := first.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if c.current.Load() != nil || len(c.conns) != 0 {
			t.Error("open after a submitted call was answered")
		}
		x.dialled(0, 0)
	})
}

// Many at once, each of whom may be the last: nobody finds a closed connection.
func TestClientClosesUnderUse(t *testing.T) {
	x := &exchange{t: t}
	c := x.client(ClientOptions{KeepOpen: -1})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 60 {
				mustCall(t, c, fmt.Sprint(i))
			}
		})
	}
	wg.Wait()
}

// A connection is closed when it has been unused for KeepOpen: neither held, nor
// with a call in flight, nor used a moment ago.
func TestClientKeepOpen(t *testing.T) {
	const keep = time.Minute
	for name, use := range map[string]func(t *testing.T, c *Client){
		"calls": func(t *testing.T, c *Client) {
			for range 10 {
				mustCall(t, c, "")
				time.Sleep(keep - time.Second)
			}
			mustCall(t, c, "")
		},
		"hold": func(t *testing.T, c *Client) {
			_, release, err := c.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(10*keep - time.Second)
			release()
		},
		"long call": func(t *testing.T, c *Client) {
			if _, err := c.Call(t.Context(), Request{Type: 1}); err != nil {
				t.Error(err)
			}
		},
		"long call-back": func(t *testing.T, c *Client) {
			if _, err := c.Call(t.Context(), Request{Type: 2}); err != nil {
				t.Error(err)
			}
			time.Sleep(10*keep - time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			exchanged(t, func(t *testing.T, x *exchange) {
				slow := func(context.Context, Request) (Response, error) {
					time.Sleep(10*keep - time.Second)
					return Response{}, nil
				}
				m := new(Mux)
				m.Handle(0, "Echo", echo)
				m.HandleFunc(1, "Slow", slow)
				m.HandleFunc(2, "CallBack", func(_ context.Context, req Request) (Response, error) {
					_, err := req.Conn.Submit(context.Background(), Request{Type: 1})
					return Response{}, err
				})
				x.answer = func(_ context.Context, _ int, far net.Conn) error {
					x.serve(far, Options{Handler: m})
					return nil
				}
				c := x.client(ClientOptions{KeepOpen: keep, Conn: Options{Handler: m}})
				use(t, c)
				synctest.Wait()
				conn, unused := c.current.Load(), time.Now()
				if conn == nil {
					t.Fatal("closed too early")
				}
				<-conn.Done()
				if after := time.Since(unused); after < keep || after > 2*keep {
					t.Errorf("closed after %v unused, want %v", after, keep)
				}
				mustCall(t, c, "again")
				if len(x.dials) != 2 {
					t.Errorf("dialled at %v", x.dials)
				}
			})
		})
	}
}

// Pauses double from MinBackoff to MaxBackoff, less up to half by chance; who
// waits shares the error; later efforts go on where the last one stopped.
func TestClientBackoff(t *testing.T) {
	ms := time.Millisecond
	for random, want := range map[float64][]time.Duration{
		0:   {0, 50 * ms, 150 * ms, 350 * ms, 750 * ms, 1350 * ms, 1950 * ms, 2550 * ms},
		0.5: {0, 37500 * time.Microsecond, 112500 * time.Microsecond, 262500 * time.Microsecond},
		1:   {0, 25 * ms, 75 * ms, 175 * ms, 375 * ms, 675 * ms, 975 * ms, 1275 * ms},
	} {
		t.Run(fmt.Sprint(random), func(t *testing.T) {
			exchanged(t, func(t *testing.T, x *exchange) {
				busy := errors.New("number engaged")
				x.answer = func(context.Context, int, net.Conn) error { return busy }
				c := x.client(ClientOptions{MaxBackoff: 600 * ms, Random: func() float64 { return random }})
				for round := range len(want) / 4 {
					var wg sync.WaitGroup
					for range 5 {
						wg.Go(func() {
							e := (*Error)(nil)
							_, err := c.Call(t.Context(), Request{Type: 3})
							if !errors.Is(err, busy) || !errors.Is(err, ErrConnectionLost) || !errors.As(err, &e) || e.Sent || e.Type != 3 {
								t.Error(err)
							}
						})
						wg.Go(func() {
							if _, _, err := c.Open(t.Context()); !errors.Is(err, busy) {
								t.Error(err)
							}
						})
					}
					wg.Wait()
					x.dialled(want[:4*(round+1)]...)
				}
				// Time that has passed anyway is no reason to wait longer.
				time.Sleep(time.Hour)
				x.answer = nil
				mustCall(t, c, "at once")
				x.dialled(append(want, want[len(want)-1]+time.Hour)...)
			})
		})
	}
}

func TestClientContextEndsWhileDialling(t *testing.T) {
	exchanged(t, func(t *testing.T, x *exchange) {
		x.answer = func(_ context.Context, _ int, far net.Conn) error {
			time.Sleep(10 * time.Second)
			x.serve(far, Options{Handler: echo})
			return nil
		}
		c := x.client(ClientOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Call(ctx, Request{})
		if e := (*Error)(nil); !errors.As(err, &e) || e.Outcome != OutcomeDeadline || !errors.Is(err, context.DeadlineExceeded) || time.Since(x.began) != time.Second {
			t.Errorf("after %v: %v", time.Since(x.began), err)
		}
		mustCall(t, c, "the same dialling serves the next")
		x.dialled(0)
	})
}

func TestNewClientNamesEveryMistake(t *testing.T) {
	_, err := NewClient(nil, ClientOptions{DialAttempts: -1, Conn: Options{MaxPacket: -1, MaxQueued: -1}})
	for _, part := range []string{"Dial", "DialAttempts", "MaxPacket", "MaxQueued"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not name %s", err, part)
		}
	}
}
