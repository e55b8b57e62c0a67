package stream

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// One byte stream carries connections in sequence: the peer's next connection
// begins right behind its EOF, in the same write, and not a byte is lost.
func TestOneStreamSeveralConnections(t *testing.T) {
	for name, join := range map[string]func(near net.Conn) io.ReadWriter{
		"with deadlines":    func(near net.Conn) io.ReadWriter { return Join(near, near) },
		"without deadlines": func(near net.Conn) io.ReadWriter { return Join(io.MultiReader(near), onlyWriter{near}) },
	} {
		for _, network := range []string{"pipe", "tcp", "unix"} {
			t.Run(name+" over "+network, func(t *testing.T) {
				near, far := sockets(t, network)
				defer near.Close()
				defer far.Close()
				if err := far.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
					t.Fatal(err)
				}
				stream := join(near)
				const rounds = 5
				var all []byte
				for i := range uint64(rounds) {
					// The last packet is cut, so that the rest of it comes by another read.
					all = append(all, wire(ask(2, i, "first"), ask(3, i, "second"), packetEndRequests, packetEOF)...)
				}
				go func() {
					_, _ = far.Write(all[:len(all)-6])
					_, _ = far.Write(all[len(all)-6:])
				}()
				answers := NewDecoder(far)
				for i := range uint64(rounds) {
					var types atomic.Uint64
					c, err := NewConn(stream, Options{MaxHandlers: 1, Handler: plain(func(req Request) Response {
						types.Add(1 + req.Type<<8)
						return Response{Payload: req.Payload}
					})})
					if err != nil {
						t.Fatal(err)
					}
					down := later(func() error {
						<-c.Received()
						return c.Shutdown(deadline(t))
					})
					got := map[Kind]int{}
					for range 4 {
						p, _, err := answers.Decode()
						if err != nil {
							t.Fatalf("connection %d: %v", i, err)
						}
						got[p.Kind]++
					}
					if got[KindResponse] != 2 || got[KindEndRequests] != 1 || got[KindEOF] != 1 {
						t.Errorf("connection %d sent %v", i, got)
					}
					if err := <-down; err != nil || c.Reason() != ReasonShutdown {
						t.Errorf("connection %d: %v, %v", i, c.Reason(), err)
					}
					if n := types.Load(); n != 2+2*i<<8 {
						t.Errorf("connection %d served %#x", i, n)
					}
				}
			})
		}
	}
}

// onlyWriter hides all that a stream can do beside writing.
type onlyWriter struct{ io.Writer }

// Tags begin at 2 on every connection, also on one that goes on with a stream.
func TestTagsBeginAgain(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	a, b := Join(near, near), Join(far, far)
	for range 3 {
		asks, err := NewConn(a, Options{})
		if err != nil {
			t.Fatal(err)
		}
		serves, err := NewConn(b, Options{Handler: echo})
		if err != nil {
			t.Fatal(err)
		}
		for want := range uint64(3) {
			call, err := asks.Submit(deadline(t), Request{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := call.Wait(deadline(t)); err != nil || call.Tag() != want+2 {
				t.Errorf("tag %d, %v, want %d", call.Tag(), err, want+2)
			}
		}
		down := later(func() error { return serves.Shutdown(deadline(t)) })
		if err := asks.Shutdown(deadline(t)); err != nil {
			t.Error(err)
		}
		if err := <-down; err != nil {
			t.Error(err)
		}
	}
}

// closeCounter is a stream that somebody else owns.
type closeCounter struct {
	net.Conn
	closed atomic.Int64
}

func (s *closeCounter) Close() error { s.closed.Add(1); return s.Conn.Close() }

// A stream handed in is not closed, whatever the end, and has no deadline left.
func TestStreamsAreLeftOpen(t *testing.T) {
	for name, end := range map[string]func(c *Conn, far net.Conn){
		"Close":     func(c *Conn, _ net.Conn) { c.Close() },
		"Shutdown":  func(c *Conn, _ net.Conn) { _ = c.Shutdown(context.Background()) },
		"malformed": func(c *Conn, far net.Conn) { _, _ = far.Write([]byte{0}); <-c.Done() },
	} {
		for _, network := range []string{"pipe", "tcp", "unix"} {
			near, far := sockets(t, network)
			counted := &closeCounter{Conn: near}
			for _, s := range []net.Conn{near, counted} { // the first one is recognised as a socket
				c, err := NewConn(s, Options{Linger: time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				taken := later(func() error { _, err := io.ReadFull(far, make([]byte, 8)); return err })
				if name == "Close" {
					c.EndSending()
					<-taken
				}
				end(c, far)
				if name != "Close" {
					<-taken
				}
			}
			if n := counted.closed.Load(); n != 0 {
				t.Errorf("%s, %s: closed %d times", network, name, n)
			}
			for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
				sent := later(func() error { _, err := pair[0].Write([]byte("open")); return err })
				b := make([]byte, 4)
				if _, err := io.ReadFull(pair[1], b); err != nil || string(b) != "open" {
					t.Errorf("%s, %s: %q, %v", network, name, b, err)
				}
				if err := <-sent; err != nil {
					t.Errorf("%s, %s: %v", network, name, err)
				}
			}
			near.Close()
			far.Close()
		}
	}
}

// lateStream is a stream whose write deadline is taken back just before the
// connection ends: the end must not leave one behind.
type lateStream struct {
	net.Conn
	last      atomic.Pointer[time.Time]
	takenBack func() // called once
}

func (s *lateStream) SetWriteDeadline(at time.Time) error {
	s.last.Store(&at)
	if f := s.takenBack; f != nil && at.IsZero() {
		s.takenBack = nil
		f()
	}
	return s.Conn.SetWriteDeadline(at)
}

func TestNoDeadlineIsLeftBehind(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	go func() { _, _ = io.Copy(io.Discard, far) }()
	s := &lateStream{Conn: near}
	c, err := NewConn(s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.takenBack = func() { c.end(ReasonClosed, ErrClosed) } // before the first write
	if _, err := c.Call(deadline(t), Request{}); !errors.Is(err, ErrConnectionLost) {
		t.Error(err)
	}
	<-c.Done()
	if at := s.last.Load(); !at.IsZero() {
		t.Errorf("the write deadline is %v", at)
	}
}

// The close function of a dialled stream is called once, at the very end of each
// connection, and need not exist.
func TestDialledStreamsAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var current atomic.Pointer[Conn]
		var dialled, closed atomic.Int64
		var nilClose atomic.Bool
		client, err := NewClient(func(context.Context) (io.ReadWriter, func() error, error) {
			near, far := net.Pipe()
			peer := mustConn(t, far, Options{Handler: echo})
			go func() { <-peer.Received(); _ = peer.Shutdown(context.Background()) }()
			dialled.Add(1)
			if nilClose.Load() {
				return near, nil, nil
			}
			return near, func() error {
				closed.Add(1)
				if !ended(current.Load().Done()) {
					t.Error("the stream is closed before the connection has ended")
				}
				return near.Close()
			}, nil
		}, ClientOptions{KeepOpen: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		for i := range int64(3) {
			conn, release, err := client.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			current.Store(conn)
			call, err := conn.Submit(t.Context(), Request{})
			if err != nil || call.Tag() != 2 {
				t.Errorf("tag %d, %v", call.Tag(), err)
			}
			if _, err := call.Wait(t.Context()); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Hour) // it is held
			if n := closed.Load(); n != i || ended(conn.Done()) {
				t.Errorf("connection %d was closed while in use", i)
			}
			release()
			release()
			time.Sleep(time.Hour)
			if d, n := dialled.Load(), closed.Load(); d != i+1 || n != i+1 {
				t.Errorf("connection %d: dialled %d times, closed %d times", i, d, n)
			}
		}
		nilClose.Store(true)
		if _, err := client.Call(t.Context(), Request{}); err != nil {
			t.Error(err)
		}
		if err := client.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		client.Close()
		if d, n := dialled.Load(), closed.Load(); d != 4 || n != 3 {
			t.Errorf("dialled %d times, closed %d times", d, n)
		}
	})
}

// When the peer has ended in order and is gone, our ERQ and EOF reach nobody.
func TestThePeerIsGone(t *testing.T) {
	bubble(t, "after its EOF, with nothing due to it", func(t *testing.T) {
		c, p := scripted(t, Options{Handler: echo})
		p.send(ask(2, 0, "x"), packetEndRequests, packetEOF)
		synctest.Wait()
		p.wants(ok(2, "x"))
		p.from.Close()
		p.to.Close()
		if err := c.Shutdown(deadline(t)); err != nil {
			t.Error(err)
		}
		finished(t, c, ReasonShutdown, nil)
	})
	bubble(t, "with an answer due to it", func(t *testing.T) {
		h, release := held()
		c, p := scripted(t, Options{Handler: h})
		p.send(ask(2, 1, ""), packetEndRequests, packetEOF)
		synctest.Wait()
		p.from.Close()
		release <- struct{}{}
		if err := c.Shutdown(deadline(t)); !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
		finished(t, c, ReasonWriteError, io.ErrClosedPipe)
	})
}

// A call of Go that was given up is not used for another while its late answer may
// still come.
func TestGoAfterGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := scripted(t, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		type end struct {
			resp Response
			err  error
		}
		ends := make([]chan end, 2)
		for i, ctx := range []context.Context{ctx, t.Context()} {
			ended := make(chan end, 2)
			ends[i] = ended
			c.Go(ctx, Request{}, func(resp Response, err error) { ended <- end{resp, err} })
			cancel()
			synctest.Wait()
		}
		if got := <-ends[0]; !errors.Is(got.err, context.Canceled) {
			t.Errorf("the first ended with %v", got.err)
		}
		p.send(ok(2, "late"))
		synctest.Wait()
		if len(ends[1]) != 0 {
			t.Fatalf("the second got the first's answer: %v", <-ends[1])
		}
		p.send(ok(3, "own"))
		synctest.Wait()
		if got := <-ends[1]; string(got.resp.Payload) != "own" || got.err != nil {
			t.Errorf("the second got %q, %v", got.resp.Payload, got.err)
		}
		c.Close()
	})
}
