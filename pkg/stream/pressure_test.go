package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// shrink sets the socket's buffers, where it has some.
func shrink(t testing.TB, nc net.Conn, size int) {
	t.Helper()
	s, ok := nc.(interface {
		SetReadBuffer(int) error
		SetWriteBuffer(int) error
	})
	if !ok || size == 0 {
		return
	}
	if err := errors.Join(s.SetReadBuffer(size), s.SetWriteBuffer(size)); err != nil {
		t.Fatal(err)
	}
}

// tightly returns two connections over sockets with buffers of that size.
func tightly(t testing.TB, network string, size int, a, b Options) (*Conn, *Conn) {
	t.Helper()
	left, right := sockets(t, network)
	shrink(t, left, size)
	shrink(t, right, size)
	return mustConn(t, left, a), mustConn(t, right, b)
}

// eventually polls until ok; a test that hangs fails with all stacks.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit.C:
			stacks := make([]byte, 1<<20)
			t.Fatalf("never happened: %s\n%s", what, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// atRest checks that nothing is left open on connections that go on.
func atRest(t testing.TB, conns ...*Conn) {
	t.Helper()
	for _, c := range conns {
		eventually(t, "all levels are back to 0", func() bool {
			s := c.Stats()
			return s.InFlight == 0 && s.Serving == 0 && s.Queued == 0 && s.QueuedBytes == 0 && s.SendQueued == 0 && !s.Paused
		})
		if list := c.OpenRequests(); len(list) != 0 {
			t.Errorf("still listed: %+v", list)
		}
	}
}

// eventTap hands the events of some kinds to a test.
type eventTap struct {
	kinds EventSet
	seen  chan Event
}

func tap(kinds ...EventKind) *eventTap {
	return &eventTap{Events(kinds...), make(chan Event, 1<<12)}
}

func (o *eventTap) Events() EventSet                                    { return o.kinds }
func (o *eventTap) Begin(ctx context.Context, _ *Event) context.Context { return ctx }
func (o *eventTap) Observe(_ context.Context, e *Event)                 { o.seen <- *e }

// next returns the next event, which must be of that kind.
func (o *eventTap) next(ctx context.Context, t testing.TB, kind EventKind) Event {
	t.Helper()
	select {
	case e := <-o.seen:
		if e.Kind != kind {
			t.Fatalf("event %v, want %v", e.Kind, kind)
		}
		return e
	case <-ctx.Done():
		t.Fatalf("no event %v", kind)
		panic("unreachable")
	}
}

// wire is the encoded form of packets.
func wire(packets ...Packet) (b []byte) {
	for i := range packets {
		b = packets[i].append(b)
	}
	return b
}

// Thousands are submitted and nobody looks at the answers meanwhile.
func TestUnreadReplies(t *testing.T) {
	for _, o := range []Options{{}, {MaxInFlight: 50}, {SendBuffer: 100}} {
		for _, network := range []string{"pipe", "tcp", "unix"} {
			t.Run(fmt.Sprintf("%s/%d/%d", network, o.MaxInFlight, o.SendBuffer), func(t *testing.T) {
				o.Handler, o.WriteTimeout = echo, 10*time.Second
				a, b := tightly(t, network, map[string]int{"tcp": 64 << 10, "unix": 2048}[network], o, o)
				ctx := deadline(t)
				var wg sync.WaitGroup
				for _, c := range []*Conn{a, b} {
					wg.Go(func() {
						calls := make([]*Call, 4000)
						for i := range calls {
							var err error
							payload := binary.BigEndian.AppendUint64(make([]byte, 192, 200), uint64(i))
							if calls[i], err = c.Submit(ctx, Request{Payload: payload}); err != nil {
								t.Error(err)
								return
							}
							if n := c.Stats().InFlight; o.MaxInFlight > 0 && n > o.MaxInFlight {
								t.Errorf("%d in flight", n)
							}
						}
						for i, call := range calls {
							resp, err := call.Wait(ctx)
							if err != nil || len(resp.Payload) != 200 || binary.BigEndian.Uint64(resp.Payload[192:]) != uint64(i) {
								t.Errorf("call %d: %d bytes, %v", i, len(resp.Payload), err)
								return
							}
						}
					})
				}
				wg.Wait()
				atRest(t, a, b)
			})
		}
	}
}

// One packet that is larger than every bound on the send queue does not keep
// either reader from reading.
func TestLargePacketsBothWays(t *testing.T) {
	o := Options{Handler: echo, WriteTimeout: 10 * time.Second}
	a, b := tightly(t, "unix", 2048, o, o)
	ctx := deadline(t)
	var wg sync.WaitGroup
	for _, c := range []*Conn{a, b} {
		for g := range 6 {
			wg.Go(func() {
				for i := range 4 {
					payload := bytes.Repeat([]byte{byte(g), byte(i)}, []int{2 << 20, 3}[g%2])
					resp, err := c.Call(ctx, Request{Payload: payload})
					if err != nil || !bytes.Equal(resp.Payload, payload) {
						t.Errorf("%d bytes came back: %v", len(resp.Payload), err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	atRest(t, a, b)
}

// Rejections are larger than the requests they answer: two peers that flood each
// other with as many as they may have in flight must still read on.
func TestBothRejectAtOnce(t *testing.T) {
	block := make(chan struct{})
	slow := HandlerFunc(func(ctx context.Context, _ Request) (Response, error) {
		select {
		case <-block:
		case <-ctx.Done():
		}
		return Response{}, nil
	})
	o := Options{Handler: slow, MaxHandlers: 1, MaxQueued: 1, WriteTimeout: 10 * time.Second}
	left, right := net.Pipe()
	a, b := mustConn(t, left, o), mustConn(t, right, o)
	ctx := deadline(t)
	var wg sync.WaitGroup
	var busy atomic.Int64
	for _, c := range []*Conn{a, b} {
		wg.Go(func() {
			calls := make([]*Call, DefaultMaxInFlight)
			for i := range calls {
				var err error
				if calls[i], err = c.Submit(ctx, Request{}); err != nil {
					t.Error(err)
					return
				}
			}
			eventually(t, "only accepted calls are open", func() bool { return c.Stats().InFlight <= 2 })
			for _, call := range calls {
				if call.Outcome() == OutcomeRejected {
					busy.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if busy.Load() == 0 {
		t.Error("nothing was rejected")
	}
	close(block)
	atRest(t, a, b)
}

// Both sides have given all their calls up when more requests come than either
// accepts. The late answers must not keep the two from reading.
func TestGivenUpCallsDoNotStopReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		big := HandlerFunc(func(ctx context.Context, _ Request) (Response, error) {
			select {
			case <-release:
			case <-ctx.Done():
			}
			return Response{Payload: make([]byte, 8<<10)}, nil
		})
		o := Options{Handler: big, MaxHandlers: 4, MaxQueued: 4, SendBuffer: 4 << 10}
		a1, a2 := net.Pipe()
		b1, b2 := net.Pipe()
		a, b := mustConn(t, a1, o), mustConn(t, b1, o)
		for _, c := range []*Conn{a, b} {
			for range 40 {
				call, err := c.Submit(t.Context(), Request{})
				if err != nil {
					t.Fatal(err)
				}
				call.Cancel()
			}
		}
		// Only now do the requests reach each other.
		go pump(b2, a2)
		go pump(a2, b2)
		synctest.Wait()
		close(release)
		synctest.Wait()
		for _, c := range []*Conn{a, b} {
			if s := c.Stats(); s.InFlight != 0 || s.SendQueued != 0 || s.Paused {
				t.Errorf("%+v", s)
			}
		}
		a2.Close()
		b2.Close()
		synctest.Wait()
	})
}

// pump copies until either side ends.
func pump(to, from net.Conn) {
	b := make([]byte, 1<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}
