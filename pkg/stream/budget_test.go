package stream

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// until is a handler that answers when a channel is closed, or never.
func until(release <-chan struct{}) Handler {
	return HandlerFunc(func(ctx context.Context, req Request) (Response, error) {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return Response{Payload: req.Payload}, nil
	})
}

const busyText = "busy: the memory of all connections is used up, try again later"

func TestBudget(t *testing.T) {
	b := NewBudget(10 << 10)
	if !b.take(2<<10) || b.scarce() {
		t.Error("a request more fits exactly, but is not to be had")
	}
	if b.force(1); !b.scarce() {
		t.Error("a request more does not fit, but is to be had")
	}
	if b.take(8<<10) || !b.take(8<<10-1) || b.Used() != b.Limit() {
		t.Errorf("%d bytes are used up to %d", b.Used(), b.Limit())
	}
	b.giveBack(10 << 10)
	if b.Used() != 0 {
		t.Errorf("%d bytes are used at the end", b.Used())
	}
	var none *Budget
	if !none.take(1<<40) || none.scarce() {
		t.Error("without a budget there is a limit")
	}
	for _, limit := range []int{0, -1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewBudget(%d) does not panic", limit)
				}
			}()
			NewBudget(limit)
		}()
	}
}

// When the budget is used up by one connection, others are told so, one request
// at a time; when it comes back they are served.
func TestBudgetIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := NewBudget(200 << 10)
		release := make(chan struct{})
		o := Options{Handler: until(release), Budget: budget}
		a, first := newRawPeer(t, o)
		b, second := newRawPeer(t, o)
		first.sendPacket(ask(2, 0, string(make([]byte, 60<<10)))) // 64 KiB, and as much to read it
		synctest.Wait()
		second.sendPacket(ask(2, 0, string(make([]byte, 30<<10))))
		second.expect(notOK(2, busyText))
		second.sendPacket(ask(3, 0, "small"))
		synctest.Wait()
		if n := b.Stats().Serving; n != 1 {
			t.Errorf("%d handlers run, want that of the small request", n)
		}
		close(release)
		second.expect(ok(3, "small"))
		if p, _ := first.next(); len(p.Payload) != 60<<10 || !p.OK {
			t.Errorf("the first is answered %v", p)
		}
		second.sendPacket(ask(4, 0, string(make([]byte, 30<<10))))
		if p, _ := second.next(); !p.OK || p.Tag != 4 {
			t.Errorf("afterwards: %v", p)
		}
		a.Close()
		b.Close()
		synctest.Wait()
		if n := budget.Used(); n != 0 {
			t.Errorf("%d bytes are taken at the end", n)
		}
	})
}

// A packet for which there is no memory is dropped as it comes, whatever it is,
// and what follows is read as ever.
func TestBudgetDropsLargePackets(t *testing.T) {
	large := make([]byte, 5<<20)
	for name, c := range map[string]struct {
		packet Packet
		want   []Packet
	}{
		"request":                 {Packet{Tag: 7, Type: 3, Flags: 5, Payload: large}, []Packet{notOK(7, busyText)}},
		"request elsewhere":       {Packet{Tag: 7, Channel: 9, Payload: large}, []Packet{{Kind: KindResponse, Channel: 9, Tag: 7, Payload: []byte("unknown channel 9")}}},
		"response to nothing":     {Packet{Kind: KindResponse, OK: true, Tag: 99, Payload: large}, nil},
		"response, wrong channel": {Packet{Kind: KindResponse, OK: true, Channel: 3, Tag: 99, Payload: large}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				budget := NewBudget(1 << 20)
				conn, p := newRawPeer(t, Options{Handler: echo, Budget: budget})
				before := heap()
				b := wire(c.packet)
				for len(b) > 0 {
					n := min(len(b), 10_000)
					p.send(b[:n])
					b = b[n:]
					if budget.Used() > budget.Limit() {
						t.Fatalf("%d bytes are taken", budget.Used())
					}
				}
				if grown := heap() - before; grown > 2<<20 {
					t.Errorf("%d bytes more in use", grown)
				}
				p.sendPacket(ask(8, 0, "next"))
				p.expect(append(c.want, ok(8, "next"))...)
				synctest.Wait() // packets are counted at the end of a read
				if s := conn.Stats(); s.PacketsReceived != 2 || s.BytesReceived != uint64(len(wire(c.packet))+len(wire(ask(8, 0, "next")))) {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// An answer that is waited for is read although there is no memory for it.
func TestBudgetReadsAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := NewBudget(20 << 10)
		c, p := newRawPeer(t, Options{Budget: budget})
		call, err := c.Submit(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		large := bytes.Repeat([]byte("answer "), 500_000)
		p.sendPacket(ok(2, string(large)))
		if r, err := call.Wait(t.Context()); err != nil || !bytes.Equal(r.Payload, large) {
			t.Errorf("%d bytes, %v", len(r.Payload), err)
		}
		synctest.Wait()
		p.sendPacket(Packet{Kind: KindResponse, Tag: 1}) // so that the large buffer is let go of
		synctest.Wait()
		if n := budget.Used(); n != 0 {
			t.Errorf("%d bytes are taken at rest", n)
		}
	})
}

// The end of the stream inside a dropped packet is an end inside a packet.
func TestBudgetTruncated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newRawPeer(t, Options{Handler: echo, Budget: NewBudget(10 << 10)})
		b := wire(ask(2, 0, string(make([]byte, 1<<20))))
		p.send(b[:300_000])
		synctest.Wait()
		p.far.Close()
		<-c.Done()
		if c.Reason() != ReasonTruncated {
			t.Errorf("ended as %v: %v", c.Reason(), c.Err())
		}
	})
}

// Who floods a process without memory and does not read that it is rejected is
// cut off, long before the limit of rejections that holds otherwise.
func TestBudgetOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, far := net.Pipe()
		held := buffersHeld.Load()
		budget := NewBudget(100_000)
		c := mustConn(t, ours, Options{Handler: until(nil), Budget: budget, WriteTimeout: time.Hour, MaxHandlers: 2})
		context.AfterFunc(c.base, func() { ours.Close() })
		for tag := uint64(2); ; tag++ {
			if _, err := far.Write(wire(ask(tag, 0, ""))); err != nil {
				break
			}
			if s := c.Stats(); s.SendQueued > 2*uncountedSend {
				t.Fatalf("%d bytes of rejections wait", s.SendQueued)
			}
		}
		<-c.Done()
		if c.Reason() != ReasonOverload || !errors.Is(c.Err(), ErrOverload) {
			t.Errorf("ended as %v: %v", c.Reason(), c.Err())
		}
		synctest.Wait()
		if n := budget.Used(); n != 0 {
			t.Errorf("%d bytes are taken at the end", n)
		}
		if n := buffersHeld.Load() - held; n > 0 {
			t.Errorf("%d buffers are not given back", n)
		}
	})
}

// A peer that stops in the middle of a packet is cut off; one that is slow is not.
func TestReadTimeout(t *testing.T) {
	for _, network := range []string{"pipe", "tcp"} {
		t.Run("stops/"+network, func(t *testing.T) {
			ours, far := sockets(t, network)
			defer far.Close()
			c := mustConn(t, ours, Options{Handler: echo, ReadTimeout: 10 * time.Millisecond})
			if _, err := far.Write([]byte{100, 2, 2}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it ends", func() bool { return ended(c.Done()) })
			if c.Reason() != ReasonSlowSender || !errors.Is(c.Err(), ErrSlowSender) {
				t.Errorf("ended as %v: %v", c.Reason(), c.Err())
			}
		})
	}
	t.Run("stops late", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, p := newRawPeer(t, Options{Handler: echo, IdleTimeout: time.Second, FirstByteTimeout: time.Second})
			opened := time.Now()
			b := wire(ask(2, 0, "a packet that takes its time"))
			for _, one := range b[:len(b)-1] {
				p.send([]byte{one})
				time.Sleep(DefaultReadTimeout - 1)
				if n := c.Stats().Receiving; n == 0 {
					t.Fatal("no bytes are shown")
				}
			}
			last := time.Now().Add(1)
			<-c.Done()
			if took := time.Since(opened); c.Reason() != ReasonSlowSender || !time.Now().Equal(last) {
				t.Errorf("ended as %v after %v", c.Reason(), took)
			}
		})
	})
	t.Run("between packets", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, p := newRawPeer(t, Options{Handler: echo})
			for tag := range uint64(3) {
				p.sendPacket(ask(2+tag, 0, ""))
				p.expect(ok(2+tag, ""))
				time.Sleep(100 * DefaultReadTimeout)
			}
			if ended(c.Received()) {
				t.Errorf("ended as %v: %v", c.Reason(), c.Err())
			}
		})
	})
}
