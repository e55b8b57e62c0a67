package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A response may be exactly as long as a packet may be.
func TestLongestResponse(t *testing.T) {
	for over := range 2 {
		synctest.Test(t, func(t *testing.T) {
			const limit = 1 << 10
			answer := ok(2, "")
			answer.Payload = make([]byte, limit-answer.bodyLen()+over)
			c, p := scripted(t, Options{MaxPacket: limit, Handler: HandlerFunc(func(context.Context, Request) (Response, error) {
				return Response{Payload: answer.Payload}, nil
			})})
			p.send(ask(2, 0, ""))
			synctest.Wait()
			if over > 0 {
				answer = notOK(2, textFailed)
			}
			p.wants(answer)
			c.Close()
		})
	}
}

// A handler's calls have as many places of their own as there are handlers.
func TestPlacesOfCallBacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const inFlight, handlers = 3, 2
		c, p := scripted(t, Options{MaxInFlight: inFlight, MaxHandlers: handlers, Handler: HandlerFunc(func(ctx context.Context, req Request) (Response, error) {
			for range 2 * (inFlight + handlers) {
				if _, err := req.Conn.Submit(ctx, Request{}); err != nil {
					return Response{}, err
				}
			}
			return Response{}, nil
		})})
		p.send(ask(2, 0, ""))
		synctest.Wait()
		if n := c.Stats().InFlight; n != inFlight+handlers {
			t.Errorf("%d call-backs are in flight, want %d", n, inFlight+handlers)
		}
		c.Close()
	})
}

// Stats.Receiving is what has come of a packet, without those in front of it in the
// same buffer.
func TestReceiving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newRawPeer(t, Options{Handler: echo})
		whole, part := wire(ask(2, 0, "whole")), wire(ask(3, 0, "only a part of it"))[:7]
		p.send(append(whole, part...))
		p.expect(ok(2, "whole"))
		synctest.Wait()
		if n := c.Stats().Receiving; n != len(part) {
			t.Errorf("%d bytes, want %d", n, len(part))
		}
		c.Close()
	})
}

// A packet for which there is no memory is dropped to its last byte, and no byte more,
// wherever it stands in what is read at once.
func TestDroppedBetweenOthers(t *testing.T) {
	for _, chunk := range []int{1 << 10, 5000, 1 << 20} {
		synctest.Test(t, func(t *testing.T) {
			c, p := newRawPeer(t, Options{Handler: echo, Budget: NewBudget(40 << 10)})
			b := wire(ask(2, 0, "before"), ask(3, 0, strings.Repeat("x", 300_000)), ask(4, 0, "behind"))
			go func() {
				for ; len(b) > 0; b = b[min(len(b), chunk):] {
					p.send(b[:min(len(b), chunk)])
				}
			}()
			p.expect(ok(2, "before"), notOK(3, busyText), ok(4, "behind"))
			c.Close()
			synctest.Wait()
		})
	}
}

// A client closes its connection at most a quarter later than it should.
func TestKeepOpenIsNotMuchLonger(t *testing.T) {
	exchanged(t, func(t *testing.T, x *exchange) {
		const keep = time.Minute
		c := x.client(ClientOptions{KeepOpen: keep})
		conn, release, err := c.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		opened := time.Now()
		release()
		<-conn.Received()
		if after := time.Since(opened); after < keep || after > keep+keep/keepLooks {
			t.Errorf("closed after %v unused, want %v to %v", after, keep, keep+keep/keepLooks)
		}
	})
}

// The error of a call for which there was no connection names it as others do.
func TestNamesWithoutAConnection(t *testing.T) {
	exchanged(t, func(t *testing.T, x *exchange) {
		x.answer = func(context.Context, int, net.Conn) error { return errBroken }
		c := x.client(ClientOptions{DialAttempts: 1})
		for label, want := range map[string]string{"": "none:0:rq_type=7,0b11,2bs", "mine": "none:0:mine"} {
			_, err := c.Call(t.Context(), Request{Type: 7, Flags: 3, Payload: []byte("hi"), Label: label})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want it to name %s", err, want)
			}
		}
	})
}

// Names exist for all values, and others have something to be known by.
func TestNamesOfValues(t *testing.T) {
	check := func(count int, name func(i int) fmt.Stringer) {
		t.Helper()
		seen := make(map[string]bool)
		for i := range count {
			seen[name(i).String()] = true
		}
		if len(seen) != count || seen[""] {
			t.Errorf("%d names for %d values: %v", len(seen), count, seen)
		}
		for _, i := range []int{count, 255} {
			if text := name(i).String(); !strings.Contains(text, fmt.Sprintf("(%d)", i)) {
				t.Errorf("value %d is called %q", i, text)
			}
		}
	}
	check(int(NumOutcomes), func(i int) fmt.Stringer { return Outcome(i) })
	check(int(NumReasons), func(i int) fmt.Stringer { return Reason(i) })
	check(int(NumRejectReasons), func(i int) fmt.Stringer { return RejectReason(i) })
	check(int(NumEvents), func(i int) fmt.Stringer { return EventKind(i) })
}

// A rejection's event tells the size of its payload, other errors' that of nothing.
func TestSizeOfRejections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := tap(EventCallDone)
		c, p := scripted(t, Options{Observer: seen})
		rejected, lost := submit(t, c, 1), submit(t, c, 1)
		p.send(notOK(rejected.Tag(), "seven b"))
		_, _ = rejected.Wait(t.Context())
		c.Close()
		if _, err := lost.Wait(t.Context()); !errors.Is(err, ErrConnectionLost) {
			t.Error(err)
		}
		for _, size := range []int{7, 0} {
			if e := seen.next(t.Context(), t, EventCallDone); e.Size != size {
				t.Errorf("%v: %d bytes, want %d", e.Outcome, e.Size, size)
			}
		}
	})
}

// Payloads of accepted requests may take exactly what is allowed.
func TestQueuedBytesExactly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newRawPeer(t, Options{Handler: until(nil), MaxQueuedBytes: 20})
		p.send(wire(ask(2, 0, "0123456789"), ask(3, 0, "0123456789"), ask(4, 0, "x")))
		synctest.Wait()
		if s := c.Stats(); s.Serving != 2 || s.QueuedBytes != 20 || !s.Paused {
			t.Errorf("%+v", s)
		}
		c.Close()
		synctest.Wait()
	})
}

// A call that was given up is forgotten when its answer has come.
func TestGivenUpIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := scripted(t, Options{})
		calls := []*Call{submit(t, c, 1), submit(t, c, 1), submit(t, c, 1)}
		for _, call := range calls[:2] {
			call.Cancel()
			p.send(ok(call.Tag(), "late"))
		}
		synctest.Wait()
		c.mu.Lock()
		if c.inFlight != 1 || c.givenUp != 0 {
			t.Errorf("%d in flight, %d of them given up", c.inFlight, c.givenUp)
		}
		c.mu.Unlock()
		if _, busy := c.activity(); !busy {
			t.Error("nothing is awaited, though a call is open")
		}
		c.Close()
	})
}

// Answers that a peer does not take are counted in the budget, beyond a little, as what
// they take in memory.
func TestUnreadAnswersAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := NewBudget(10 << 20)
		p := deafPeer(t)
		c, err := NewConn(p.stream, Options{Handler: HandlerFunc(func(_ context.Context, req Request) (Response, error) {
			return Response{Payload: zeros[:req.Type]}, nil
		}), Budget: budget})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []int{0, 0, 32 << 10, 512 << 10} { // the first is being written
			p.send(ask(uint64(2+i), []uint64{1000, 3000, 17 << 10, 300 << 10}[i], ""))
			synctest.Wait()
			if n := budget.Used(); n != want {
				t.Errorf("%d bytes are counted with answer %d, want %d", n, i, want)
			}
		}
		c.Close()
		synctest.Wait()
		if n := budget.Used(); n != 0 {
			t.Errorf("%d bytes are counted at the end", n)
		}
	})
}
