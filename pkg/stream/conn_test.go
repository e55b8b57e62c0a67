package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// echo answers a request with its own flags and payload.
var echo = HandlerFunc(func(_ context.Context, req Request) (Response, error) {
	return Response{Flags: req.Flags, Payload: req.Payload}, nil
})

// mustConn starts a connection and closes it when the test ends.
func mustConn(t testing.TB, s net.Conn, o Options) *Conn {
	t.Helper()
	c, err := NewConn(s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c
}

// sockets returns two connected streams of the network "pipe", "tcp" or "unix".
func sockets(t testing.TB, network string) (net.Conn, net.Conn) {
	t.Helper()
	if network == "pipe" {
		return net.Pipe()
	}
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = t.TempDir() + "/s"
	}
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- nc
	}()
	a, err := net.Dial(network, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return a, <-accepted
}

// connected returns two connections that talk to each other.
func connected(t testing.TB, network string, a, b Options) (*Conn, *Conn) {
	t.Helper()
	left, right := sockets(t, network)
	return mustConn(t, left, a), mustConn(t, right, b)
}

// deadline is a context that ends a test that hangs.
func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestCallsBothWays(t *testing.T) {
	for _, network := range []string{"pipe", "tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			ctx := deadline(t)
			a, b := connected(t, network, Options{Handler: echo}, Options{Handler: echo})
			var wg sync.WaitGroup
			for side, c := range []*Conn{a, b} {
				for g := range 16 {
					wg.Go(func() {
						r := rand.New(rand.NewPCG(uint64(side), uint64(g)))
						for i := range 200 {
							payload := make([]byte, 8+r.IntN(2000))
							binary.BigEndian.PutUint64(payload, r.Uint64())
							flags := r.Uint64() >> 3
							resp, err := c.Call(ctx, Request{Type: uint64(i), Flags: flags, Payload: payload})
							if err != nil {
								t.Error(err)
								return
							}
							if resp.Flags != flags || !bytes.Equal(resp.Payload, payload) {
								t.Errorf("call %d of %d on side %d: got another request's answer", i, g, side)
								return
							}
						}
					})
				}
			}
			wg.Wait()
			go b.Shutdown(ctx)
			if err := a.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			if err := b.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			for side, c := range []*Conn{a, b} {
				s := c.Stats()
				if s.CallsSent != 3200 || s.CallsAnswered != 3200 || s.RequestsReceived != 3200 || s.ResponsesSent != 3200 {
					t.Errorf("stats: %+v", s)
				}
				if s.InFlight != 0 || s.Serving != 0 || s.Queued != 0 || s.QueuedBytes != 0 || s.SendQueued != 0 {
					t.Errorf("levels are not back to 0: %+v", s)
				}
				// Both ends count the same bytes and packets, ERQ and EOF included.
				if o := []*Conn{b, a}[side].Stats(); s.BytesSent == 0 || s.BytesSent != o.BytesReceived || s.PacketsSent != o.PacketsReceived {
					t.Errorf("sent %+v\nreceived %+v", s, o)
				}
				if c.Reason() != ReasonShutdown {
					t.Errorf("reason %v", c.Reason())
				}
			}
		})
	}
}

func TestLargePayloads(t *testing.T) {
	ctx := deadline(t)
	for _, network := range []string{"pipe", "tcp"} {
		a, _ := connected(t, network, Options{}, Options{Handler: echo})
		for _, size := range []int{0, 1, 1 << 10, 4<<10 - 6, 64 << 10, 1<<20 + 1, 32 << 20} {
			payload := bytes.Repeat([]byte{byte(size), 1, 2, 3, 5, 8, 13}, size/7+1)[:size]
			resp, err := a.Call(ctx, Request{Payload: payload})
			if err != nil || !bytes.Equal(resp.Payload, payload) {
				t.Fatalf("%s, %d bytes: %v", network, size, err)
			}
		}
	}
}

// Random ends: calls that are cancelled, expire, are rejected, and a connection
// that is closed under them. Every call must have one outcome.
func TestEveryCallEnds(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			slow := HandlerFunc(func(ctx context.Context, req Request) (Response, error) {
				if req.Type%3 == 0 {
					return Response{}, errors.New("refused")
				}
				if req.Type%5 == 0 {
					<-ctx.Done()
				}
				return echo(ctx, req)
			})
			a, b := connected(t, []string{"pipe", "tcp"}[seed%2], Options{}, Options{Handler: slow})
			var wg sync.WaitGroup
			outcomes := make([]int, NumOutcomes)
			var mu sync.Mutex
			for g := range 32 {
				expires := time.Duration(r.IntN(20)) * time.Millisecond
				wg.Go(func() {
					for i := range 50 {
						ctx, cancel := context.WithTimeout(t.Context(), expires)
						_, err := a.Call(ctx, Request{Type: uint64(g + i), Payload: make([]byte, i)})
						cancel()
						outcome := OutcomeOK
						if e := (*Error)(nil); errors.As(err, &e) {
							outcome = e.Outcome
						} else if err != nil {
							t.Errorf("not an *Error: %v", err)
						}
						mu.Lock()
						outcomes[outcome]++
						mu.Unlock()
					}
				})
			}
			time.AfterFunc(time.Duration(r.IntN(30))*time.Millisecond, func() {
				if seed%3 == 0 {
					b.Close()
				} else {
					a.Close()
				}
			})
			wg.Wait()
			if outcomes[OutcomePending] > 0 {
				t.Errorf("calls without an outcome: %v", outcomes)
			}
			a.Close()
			if s := a.Stats(); s.InFlight != 0 {
				t.Errorf("in flight after the end: %+v", s)
			}
		})
	}
}
