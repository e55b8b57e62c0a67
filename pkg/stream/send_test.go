package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sink is a writer whose behaviour a test chooses. It has no deadlines.
type sink struct {
	take func(b []byte) (int, error) // nil: takes everything

	mu     sync.Mutex
	began  time.Time
	all    []byte
	writes []string // when, and how many bytes
}

func (w *sink) Write(b []byte) (n int, err error) {
	n = len(b)
	if w.take != nil {
		n, err = w.take(b)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, b[:min(max(n, 0), len(b))]...)
	w.note("%d", n)
	return n, err
}

func (w *sink) note(format string, args ...any) {
	w.writes = append(w.writes, fmt.Sprintf("%v ", time.Since(w.began))+fmt.Sprintf(format, args...))
}

// happened checks what was written and when, since the last look.
func (w *sink) happened(t testing.TB, want ...string) {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if fmt.Sprint(w.writes) != fmt.Sprint(want) {
		t.Errorf("written: %q, want %q", w.writes, want)
	}
	w.writes = nil
}

// over starts a connection whose bytes go to w and whose peer sends nothing
// before the test ends.
func over(t testing.TB, w io.Writer, o Options) *Conn {
	t.Helper()
	r, far := io.Pipe()
	c, err := NewConn(Join(r, w), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); far.Close() })
	return c
}

func submit(t testing.TB, c *Conn, size int) *Call {
	t.Helper()
	call, err := c.Submit(t.Context(), Request{Payload: make([]byte, size)})
	if err != nil {
		t.Fatal(err)
	}
	return call
}

func TestFlushDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{}, 10)
		w := &sink{began: time.Now()}
		c := over(t, w, Options{FlushDelay: 10 * time.Millisecond})
		for range 3 { // of 14 bytes each
			submit(t, c, 10)
			time.Sleep(4 * time.Millisecond)
		}
		w.happened(t, "10ms 42") // together, when the delay has passed
		time.Sleep(88 * time.Millisecond)
		submit(t, c, 10)
		w.happened(t)
		time.Sleep(50 * time.Millisecond)
		w.happened(t, "110ms 14")

		submit(t, c, 10)
		synctest.Wait()
		submit(t, c, flushSize) // no need to wait for more
		synctest.Wait()
		if got := len(w.all); got != 4*14+14+flushSize+6 {
			t.Errorf("%d bytes were written at once", got)
		}
		w.writes = nil

		// While the stream takes nothing much is queued. It leaves without a
		// delay, but the next packet waits as usual.
		w.take = func(b []byte) (int, error) { <-hold; return len(b), nil }
		submit(t, c, 10)
		time.Sleep(10 * time.Millisecond)
		submit(t, c, 10)
		submit(t, c, flushSize)
		synctest.Wait()
		close(hold)
		synctest.Wait()
		w.writes = nil
		submit(t, c, 10)
		time.Sleep(9 * time.Millisecond)
		w.happened(t)
		time.Sleep(time.Millisecond)
		w.happened(t, "170ms 14")

		// EOF takes along what waits, at once.
		submit(t, c, 10)
		c.EndSending()
		w.happened(t, "170ms 22")
		if !bytes.HasSuffix(w.all, wire(packetEndRequests, packetEOF)) {
			t.Errorf("the last bytes are %x", w.all[len(w.all)-22:])
		}
	})
}

// bufferingSink is a sink that buffers.
type bufferingSink struct {
	sink
	fail error
}

func (w *bufferingSink) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("flush")
	return w.fail
}

// A writer with Flush is flushed when nothing is queued any more, not before.
func TestFlushWhenEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		w := &bufferingSink{sink: sink{began: time.Now()}}
		w.take = func(b []byte) (int, error) { <-hold; return len(b), nil }
		c := over(t, w, Options{})
		submit(t, c, 10)
		synctest.Wait()
		submit(t, c, 11)
		submit(t, c, 12)
		close(hold)
		w.happened(t, "0s 14", "0s 31", "0s flush")
		submit(t, c, 10)
		w.happened(t, "0s 14", "0s flush")
		c.EndSending()
		w.happened(t, "0s 8", "0s flush")

		w.fail = errors.New("disk full")
		c = over(t, w, Options{})
		call := submit(t, c, 10)
		_, err := call.Wait(t.Context())
		if e := (*Error)(nil); c.Reason() != ReasonWriteError || !errors.Is(c.Err(), w.fail) || !errors.As(err, &e) || !e.Sent || !errors.Is(err, w.fail) {
			t.Errorf("%v: %v; %v", c.Reason(), c.Err(), err)
		}
	})
}

// A stream that takes fewer bytes than it is offered is offered the rest.
func TestShortWrites(t *testing.T) {
	for _, step := range []int{1, 7, 1000} {
		w := &sink{take: func(b []byte) (int, error) { return min(step, len(b)), nil }}
		c := over(t, w, Options{})
		var want []byte
		for tag := range uint64(30) {
			submit(t, c, int(tag)*20)
			want = append(want, wire(Packet{Tag: tag + 2, Payload: make([]byte, tag*20)})...)
		}
		eventually(t, "all is written", func() bool { return c.Stats().SendQueued == 0 })
		w.mu.Lock()
		if !bytes.Equal(w.all, want) {
			t.Errorf("%d a time: other bytes than were queued", step)
		}
		w.mu.Unlock()
		if s := c.Stats(); s.BytesSent != uint64(len(want)) || s.PacketsSent != 30 {
			t.Errorf("%+v", s)
		}
	}
}

// A stream that breaks the rules of io.Writer ends the connection, with an error
// that says so. What it took is unknown, so nothing counts as never sent.
func TestLyingWriters(t *testing.T) {
	for _, lie := range []struct {
		n    func(offered int) int
		want string
		sent bool
	}{
		{func(int) int { return 0 }, io.ErrNoProgress.Error(), false},
		{func(int) int { return -1 }, "took -1 of 14 bytes", true},
		{func(n int) int { return n + 1 }, "took 15 of 14 bytes", true},
	} {
		c := over(t, &sink{take: func(b []byte) (int, error) { return lie.n(len(b)), nil }}, Options{})
		call := submit(t, c, 10)
		<-c.Done()
		_, err := call.Wait(t.Context())
		e := (*Error)(nil)
		if c.Reason() != ReasonWriteError || !strings.Contains(c.Err().Error(), lie.want) || !errors.As(err, &e) || e.Sent != lie.sent {
			t.Errorf("%s: %v: %v; %v", lie.want, c.Reason(), c.Err(), err)
		}
	}
}

// The stream fails after every possible number of bytes. A call counts as sent
// exactly if one of its bytes was taken.
func TestSentOfLostCalls(t *testing.T) {
	broken := errors.New("broken")
	sizes := []int{0, 5, 200, 1}
	starts, total := make([]int, len(sizes)), 0
	for i, size := range sizes {
		starts[i] = total
		total += len(wire(Packet{Tag: uint64(i) + 2, Payload: make([]byte, size)}))
	}
	for _, batches := range []int{1, 2} { // one queued before the first write, or more
		for k := range total {
			synctest.Test(t, func(t *testing.T) {
				first := make(chan struct{})
				left := k
				c := over(t, &sink{take: func(b []byte) (int, error) {
					<-first
					if len(b) <= left {
						left -= len(b)
						return len(b), nil
					}
					return left, broken
				}}, Options{FlushDelay: 1})
				var calls []*Call
				for i, size := range sizes {
					if calls = append(calls, submit(t, c, size)); batches == 2 && i == 1 {
						time.Sleep(time.Second) // the first two are taken
					}
				}
				time.Sleep(time.Second)
				close(first)
				for i, call := range calls {
					_, err := call.Wait(t.Context())
					e := (*Error)(nil)
					if !errors.As(err, &e) || e.Outcome != OutcomeLost || !errors.Is(err, broken) || e.Sent != (k > starts[i]) {
						t.Errorf("%d batches, %d bytes taken, call from byte %d on: %v", batches, k, starts[i], err)
					}
				}
				if s := c.Stats(); s.BytesSent != uint64(k) {
					t.Errorf("%d bytes sent, want %d", s.BytesSent, k)
				}
			})
		}
	}
}

// A call that is given up tells whether it may be served all the same: once it is
// queued it will be sent, before that it will not.
func TestSentOfGivenUpCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		defer close(hold)
		c := over(t, &sink{take: func(b []byte) (int, error) { <-hold; return len(b), nil }}, Options{MaxInFlight: 2})
		taken := submit(t, c, 10)
		synctest.Wait()
		queued := submit(t, c, 10)
		for _, call := range []*Call{taken, queued} {
			call.Cancel()
			_, err := call.Wait(t.Context())
			if e := (*Error)(nil); !errors.As(err, &e) || e.Outcome != OutcomeCanceled || !e.Sent {
				t.Errorf("%v, sent %t, want true", err, e.Sent)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Call(ctx, Request{}) // finds no room
		if e := (*Error)(nil); !errors.As(err, &e) || e.Outcome != OutcomeDeadline || e.Sent {
			t.Errorf("%v, sent %t, want false", err, e.Sent)
		}
	})
}

// The peer ends sending while requests wait to be sent: they are lost, since no answer
// can come, but they are sent all the same, so that repeating them is not safe.
func TestSentWhenThePeerHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := scripted(t, Options{FlushDelay: time.Second})
		call := submit(t, c, 10)
		peer.send(Packet{Kind: KindEOF})
		_, err := call.Wait(t.Context())
		if e := (*Error)(nil); !errors.As(err, &e) || e.Outcome != OutcomeLost || !e.Sent {
			t.Errorf("%v, want it to be lost after it was sent", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		peer.wants(Packet{Tag: 2, Payload: make([]byte, 10)})
	})
}

// A peer that takes something within every WriteTimeout is slow but alive; one
// that takes nothing is not.
func TestWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 10 * time.Second
		ours, far := net.Pipe()
		defer far.Close()
		c := mustConn(t, ours, Options{WriteTimeout: limit})
		call := submit(t, c, 300<<10)
		b := make([]byte, 4<<10)
		for range 60 {
			time.Sleep(limit - time.Second)
			if _, err := io.ReadFull(far, b); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if c.Err() != nil || call.Outcome() != OutcomePending {
			t.Fatalf("ended a slow peer: %v", c.Err())
		}
		last := time.Now()
		<-c.Done()
		if quiet := time.Since(last); quiet < limit || quiet > 2*limit || c.Reason() != ReasonSlowConsumer || !errors.Is(c.Err(), ErrSlowConsumer) {
			t.Errorf("after %v: %v, %v", quiet, c.Reason(), c.Err())
		}
		if s := c.Stats(); s.BytesSent != 60*4<<10 {
			t.Errorf("%d bytes sent", s.BytesSent)
		}
	})
}

// The same for pipes, which have no deadlines: the connection ends in time, and
// so does Close, though a write waits for ever.
func TestWriteTimeoutWithoutDeadlines(t *testing.T) {
	for name, end := range map[string]func(c *Conn) Reason{
		"timeout": func(*Conn) Reason { return ReasonSlowConsumer },
		"close":   func(c *Conn) Reason { c.Close(); return ReasonClosed },
		"shutdown": func(c *Conn) Reason {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if err := c.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				c.Close()
			}
			return ReasonClosed
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far, w := io.Pipe()
				c := over(t, w, Options{WriteTimeout: 10 * time.Second})
				call := submit(t, c, 100)
				synctest.Wait()
				began := time.Now()
				reason := end(c)
				<-c.Done()
				if took := time.Since(began); c.Reason() != reason || took > 10*time.Second {
					t.Errorf("%v after %v, want %v", c.Reason(), took, reason)
				}
				if _, err := call.Wait(t.Context()); !errors.Is(err, ErrConnectionLost) {
					t.Error(err)
				}
				far.Close() // only now can the writing goroutine end
			})
		})
	}
}
