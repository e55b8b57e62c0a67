package stream

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A peer that stops reading for a while holds up its own answers and nothing
// else, and gets all of them when it goes on.
func TestPeerStopsReadingForAWhile(t *testing.T) {
	for _, network := range []string{"pipe", "tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			ours, peer := sockets(t, network)
			defer peer.Close()
			shrink(t, ours, 64<<10)
			c := mustConn(t, ours, Options{Handler: echo, SendBuffer: 10 << 10})
			const n, size = 300, 4 << 10
			payload := bytes.Repeat([]byte("0123456789abcdef"), size/16)
			for tag := range uint64(n) {
				if _, err := peer.Write(wire(Packet{Tag: tag + 2, Payload: payload})); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "everything is read, though nothing is taken", func() bool {
				s := c.Stats()
				return s.RequestsReceived == n && s.SendQueued >= 10<<10
			})
			if s := c.Stats(); s.SendQueued > 10<<10+2*size || s.ResponsesSent == n {
				t.Errorf("answers do not wait for room: %+v", s)
			}
			seen := make(map[uint64]bool)
			for d := NewDecoder(peer); len(seen) < n; {
				p, _, err := d.Decode()
				if err != nil {
					t.Fatal(err)
				}
				if !p.OK || !bytes.Equal(p.Payload, payload) || seen[p.Tag] {
					t.Fatalf("answer %v, twice: %t", p, seen[p.Tag])
				}
				seen[p.Tag] = true
			}
			atRest(t, c)
		})
	}
}

// A plain peer over the bound is slowed by not reading on while this side asks
// nothing, and rejected while it does; a call makes reading go on at once.
func TestPlainPeerIsSlowedOrRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		o := tap(EventPaused, EventResumed)
		ours, peer := net.Pipe()
		c := mustConn(t, ours, Options{MaxHandlers: 1, MaxQueued: 2, Observer: o, WriteTimeout: 24 * time.Hour, PauseTimeout: 24 * time.Hour, Handler: HandlerFunc(
			func(context.Context, Request) (Response, error) { <-release; return Response{}, nil },
		)})
		send := func(packets ...Packet) {
			for _, p := range packets { // one at a time: a pipe holds nothing
				if _, err := peer.Write(wire(p)); err != nil {
					t.Error(err)
				}
			}
		}
		d := NewDecoder(peer)
		receive := func() Packet {
			p, _, err := d.Decode()
			if err != nil {
				t.Error(err)
			}
			return p
		}

		// A rejection that the peer does not take yet holds up what is sent behind it.
		send(Packet{Channel: 9, Tag: 2})
		synctest.Wait()
		send(Packet{Tag: 2}, Packet{Tag: 3}, Packet{Tag: 4}, Packet{Tag: 5})
		synctest.Wait()
		if s := c.Stats(); !s.Paused || s.Serving != 1 || s.Queued != 2 || s.ResponsesSent != 1 {
			t.Errorf("not slowed: %+v", s)
		}
		o.next(t.Context(), t, EventPaused)
		time.Sleep(time.Hour) // a paused reader does not judge the peer dead

		call, err := c.Submit(t.Context(), Request{Type: 9})
		if err != nil {
			t.Fatal(err)
		}
		if e := o.next(t.Context(), t, EventResumed); e.Duration != time.Hour {
			t.Errorf("paused for %v", e.Duration)
		}
		if p := receive(); p.Channel != 9 {
			t.Errorf("got %v, want the rejection", p)
		}
		if p := receive(); p.Kind != KindRequest || p.Type != 9 {
			t.Errorf("got %v, want the call", p)
		}
		for tag := uint64(5); tag < 8; tag++ {
			if p := receive(); p.OK || p.Tag != tag || !strings.HasPrefix(string(p.Payload), "busy") {
				t.Errorf("got %v %q, want tag %d rejected as busy", p, p.Payload, tag)
			}
			send(Packet{Tag: tag + 1})
		}
		if p := receive(); p.OK || p.Tag != 8 {
			t.Errorf("got %v", p)
		}
		send(Packet{Kind: KindResponse, Tag: call.Tag(), OK: true})
		if _, err := call.Wait(t.Context()); err != nil {
			t.Error(err)
		}

		send(Packet{Tag: 9}) // no call is pending any more
		synctest.Wait()
		if s := c.Stats(); !s.Paused {
			t.Errorf("not slowed again: %+v", s)
		}
		o.next(t.Context(), t, EventPaused)
		close(release) // room comes
		for _, tag := range []uint64{2, 3, 4, 9} {
			if p := receive(); !p.OK || p.Tag != tag {
				t.Errorf("got %v, want the answer to %d", p, tag)
			}
		}
		o.next(t.Context(), t, EventResumed)
		synctest.Wait()
		atRest(t, c)
		peer.Close()
	})
}

// Payloads of accepted requests are limited in bytes: reading pauses above it, but
// for one request, which is accepted whatever its size.
func TestQueuedBytes(t *testing.T) {
	const limit = 100_000
	for name, sizes := range map[string][]int{
		"many small": {30_000, 30_000, 30_000, 30_000},
		"one large":  {limit * 3, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				c, p := newRawPeer(t, Options{Handler: until(release), MaxQueuedBytes: limit})
				go func() {
					for i, size := range sizes {
						p.sendPacket(ask(uint64(2+i), 0, string(make([]byte, size))))
					}
				}()
				synctest.Wait()
				if s := c.Stats(); !s.Paused || s.Serving != len(sizes)-1 || s.QueuedBytes != sum(sizes[:len(sizes)-1]) {
					t.Errorf("%+v, want all but the last accepted, and reading paused", s)
				}
				close(release)
				for range sizes {
					if answer, _ := p.next(); !answer.OK {
						t.Errorf("got %v", answer)
					}
				}
				synctest.Wait()
				atRest(t, c)
			})
		})
	}
}

func sum(list []int) (n int) {
	for _, i := range list {
		n += i
	}
	return n
}

// Rejections that cannot leave take bounded memory, and end the connection.
func TestRejectionsThatCannotLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := net.Pipe()
		c := mustConn(t, ours, Options{MaxHandlers: 1, MaxQueued: 1, WriteTimeout: time.Minute, Handler: HandlerFunc(
			func(ctx context.Context, _ Request) (Response, error) { <-ctx.Done(); return Response{}, nil },
		)})
		call, err := c.Submit(t.Context(), Request{}) // the peer never takes it
		if err != nil {
			t.Fatal(err)
		}
		context.AfterFunc(c.base, func() { ours.Close() }) // ends the flood
		began, sent := time.Now(), 0
		for tag := uint64(2); ; sent += 1000 {
			var flood []Packet
			for range 1000 {
				flood = append(flood, Packet{Tag: tag})
				tag++
			}
			if _, err := peer.Write(wire(flood...)); err != nil {
				break
			}
			if s := c.Stats(); s.SendQueued > rejectionBacklog+64<<10 {
				t.Fatalf("%d bytes wait to be sent", s.SendQueued)
			}
		}
		<-c.Done()
		if took := time.Since(began); took != time.Minute || sent < 50000 {
			t.Errorf("it took %v and %d rejections", took, sent)
		}
		if c.Reason() != ReasonSlowConsumer || !errors.Is(c.Err(), ErrSlowConsumer) {
			t.Errorf("ended as %v: %v", c.Reason(), c.Err())
		}
		e := (*Error)(nil)
		if _, err := call.Wait(t.Context()); !errors.As(err, &e) || !errors.Is(err, ErrConnectionLost) || !errors.Is(err, ErrSlowConsumer) || e.Sent {
			t.Errorf("the call: %v, sent: %t", err, e.Sent)
		}
		synctest.Wait()
		if s := c.Stats(); s.Unanswered != 2 || s.InFlight != 0 || s.Queued != 0 || s.Serving != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Quick handlers run though all places for handlers are taken, and free none of
// them for the slow ones that wait.
func TestInlineKeepsHandlerLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		m := new(Mux)
		m.Inline(0, "Echo", echo)
		m.HandleFunc(1, "Slow", func(context.Context, Request) (Response, error) { <-release; return Response{}, nil })
		c, p := newRawPeer(t, Options{Handler: m, MaxHandlers: 2})
		for tag := range uint64(10) {
			p.sendPacket(ask(2*tag, 1, ""))
			p.sendPacket(ask(2*tag+1, 0, "quick"))
			p.expect(ok(2*tag+1, "quick"))
		}
		synctest.Wait()
		if s := c.Stats(); s.Serving != 2 || s.Queued != 8 {
			t.Errorf("%d handlers run, %d requests wait, want 2 and 8", s.Serving, s.Queued)
		}
		close(release)
		var answers []Packet
		for tag := range uint64(10) {
			answers = append(answers, ok(2*tag, ""))
		}
		p.expect(answers...) // in any order
		synctest.Wait()
		atRest(t, c)
	})
}

// As many handlers as are allowed never return, and more is sent: the peer is
// slowed down, but not for ever, so that its end is seen. A request that ends
// makes room and new patience.
func TestHandlersThatNeverReturnDoNotHideThePeersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = DefaultPauseTimeout
		first := make(chan struct{})
		var canceled atomic.Int64
		c, peer := scripted(t, Options{MaxHandlers: 2, MaxQueued: 1, Handler: HandlerFunc(func(ctx context.Context, req Request) (Response, error) {
			if req.Type == 1 {
				<-first
				return Response{}, nil
			}
			<-ctx.Done()
			canceled.Add(1)
			return Response{}, ctx.Err()
		})})
		after := func(d time.Duration, paused bool, sent ...Packet) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if s := c.Stats(); s.Paused != paused {
				t.Errorf("paused %t, want %t: %+v", s.Paused, paused, s)
			}
			peer.wants(sent...)
		}
		const busy = "busy: 3 requests wait, try again later"
		for tag := range uint64(4) {
			peer.send(Packet{Tag: tag + 2, Type: tag})
		}
		after(limit-time.Second, true)
		close(first)
		after(0, false, ok(3, "")) // the fourth is accepted
		peer.send(Packet{Tag: 6})
		after(limit-time.Second, true)
		after(time.Second, false, notOK(6, busy))
		peer.send(Packet{Tag: 7})
		after(0, false, notOK(7, busy)) // as long as nothing ends
		peer.to.Close()
		<-c.Received()
		c.Close()
		synctest.Wait()
		if canceled.Load() != 2 { // the third had not begun
			t.Errorf("%d handlers know that their peer is gone", canceled.Load())
		}
	})
}
