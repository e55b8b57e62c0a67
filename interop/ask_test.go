package interop_test

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// The request types of peer.py.
const (
	pyEcho = 100 + iota
	pyReverse
	pyFail
	pyNone
	pyNumber
	pyText
	pySleep
	pyCallBack
	pyDie
)

// graces are the packet graces of the Python side: none, and its own, which makes
// synchronous calls slow.
var graces = []string{"0", "default"}

// Everything that this side can ask of the Python package.
func TestPythonServes(t *testing.T) {
	var calls atomic.Int64
	for _, grace := range graces {
		t.Run("grace "+grace, func(t *testing.T) {
			r, conn, nc := serving(t, grace)
			ctx := within(t)
			call := func(t *testing.T, typ, flags uint64, payload string, want stream.Response) {
				t.Helper()
				calls.Add(1)
				resp, err := conn.Call(ctx, stream.Request{Type: typ, Flags: flags, Payload: []byte(payload)})
				if err != nil {
					t.Fatalf("type %d: %v", typ, err)
				}
				if resp.Flags != want.Flags || !bytes.Equal(resp.Payload, want.Payload) {
					t.Fatalf("type %d: flags %d, %d bytes; want %d, %d", typ, resp.Flags, len(resp.Payload), want.Flags, len(want.Payload))
				}
			}
			sequential := 10_000
			if grace == "default" {
				sequential = 100
			}
			t.Run("sequential", func(t *testing.T) {
				for i := range sequential {
					text := strconv.Itoa(i)
					call(t, pyEcho, uint64(i), text, stream.Response{Flags: uint64(i), Payload: []byte(text)})
				}
			})
			t.Run("forms of results", func(t *testing.T) {
				call(t, pyNone, 0, "x", stream.Response{})
				call(t, pyNumber, 0, "four", stream.Response{Flags: 4})
				call(t, pyText, 0, "", stream.Text("some text"))
				call(t, pyReverse, 0, "abc", stream.Response{Flags: 0x11, Payload: []byte("cba")})
			})
			t.Run("payloads", func(t *testing.T) {
				for _, size := range []int{0, 1, 127, 128, 16_383, 16_384, 1 << 20, 4 << 20} {
					payload := bytes.Repeat([]byte{'p', 'a', 'y', byte(size)}, size/4+1)[:size]
					call(t, pyEcho, 0, string(payload), stream.Response{Payload: payload})
				}
			})
			t.Run("pipelined", func(t *testing.T) {
				var pending []*stream.Call
				for i := range 5000 {
					one, err := conn.Submit(ctx, stream.Request{Type: pyReverse, Payload: []byte(fmt.Sprintf("%05d", i))})
					if err != nil {
						t.Fatal(err)
					}
					pending = append(pending, one)
				}
				for i, one := range pending {
					calls.Add(1)
					resp, err := one.Wait(ctx)
					want := []byte(fmt.Sprintf("%05d", i))
					for a, b := 0, len(want)-1; a < b; a, b = a+1, b-1 {
						want[a], want[b] = want[b], want[a]
					}
					if err != nil || !bytes.Equal(resp.Payload, want) {
						t.Fatalf("%d: %q, %v", i, resp.Payload, err)
					}
				}
			})
			t.Run("out of order", func(t *testing.T) {
				slow, err := conn.Submit(ctx, stream.Request{Type: pySleep, Payload: []byte("500")})
				if err != nil {
					t.Fatal(err)
				}
				call(t, pyEcho, 0, "quick", stream.Response{Payload: []byte("quick")})
				if slow.Outcome() != stream.OutcomePending {
					t.Error("the slow one is answered first")
				}
				if _, err := slow.Wait(ctx); err != nil {
					t.Error(err)
				}
			})
			t.Run("errors", func(t *testing.T) {
				calls.Add(1)
				if _, err := conn.Call(ctx, stream.Request{Type: pyFail}); !errors.Is(err, stream.ErrRejected) {
					t.Errorf("an exception: %v", err)
				}
				call(t, pyEcho, 0, "goes on", stream.Response{Payload: []byte("goes on")})
			})
			t.Run("call-backs", func(t *testing.T) {
				var pending []*stream.Call
				for range 50 {
					one, err := conn.Submit(ctx, stream.Request{Type: pyCallBack, Payload: []byte("it")})
					if err != nil {
						t.Fatal(err)
					}
					pending = append(pending, one)
				}
				for _, one := range pending {
					calls.Add(2)
					if resp, err := one.Wait(ctx); err != nil || string(resp.Payload) != "it came back" {
						t.Fatalf("%q, %v", resp.Payload, err)
					}
				}
			})
			if err := conn.Shutdown(ctx); err != nil || conn.Reason() != stream.ReasonShutdown {
				t.Errorf("the end: %v, %v", conn.Reason(), err)
			}
			nc.Close()
			r.ends(t, 0)
		})
	}
	t.Logf("guarantee: TestPythonServes %d calls", calls.Load())
}

// A Python peer that dies fails the calls in flight, at once.
func TestPythonServerDies(t *testing.T) {
	r, conn, _ := serving(t, "0")
	ctx := within(t)
	var pending []*stream.Call
	for range 3 { // the fourth of its threads is for the one that ends it
		one, err := conn.Submit(ctx, stream.Request{Type: pySleep, Payload: []byte("30000")})
		if err != nil {
			t.Fatal(err)
		}
		pending = append(pending, one)
	}
	if _, err := conn.Call(ctx, stream.Request{Type: pyDie}); !errors.Is(err, stream.ErrConnectionLost) {
		t.Errorf("the call that ended it: %v", err)
	}
	for _, one := range pending {
		if _, err := one.Wait(ctx); !errors.Is(err, stream.ErrConnectionLost) {
			t.Errorf("in flight: %v", err)
		}
	}
	r.ends(t, 7)
}

// This side may go without a word, too.
func TestPythonServerIsLeft(t *testing.T) {
	r, conn, nc := serving(t, "0")
	if _, err := conn.Submit(within(t), stream.Request{Type: pySleep, Payload: []byte("300")}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	conn.Close()
	nc.Close()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("closing took %v", took)
	}
	// It may hang then, as the specification says of it: it is not waited for.
	_ = r
}
