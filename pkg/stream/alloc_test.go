package stream

import (
	"context"
	"testing"
	"time"
)

// How often a round trip over TCP allocates, both sides together, with a buffer
// for the answer. The calling side allocates nothing; the serving side one
// object for each request that it accepts, which is its handler's context.
func TestRoundTripAllocations(t *testing.T) {
	inline := new(Mux)
	inline.Inline(0, "Echo", echo)
	for name, c := range map[string]struct {
		handler Handler
		payload int
		most    float64
		mode    ExtensionMode
		limit   time.Duration // of the caller
	}{
		"inline":          {handler: inline, payload: 0, most: 1},
		"inline, 1 KiB":   {handler: inline, payload: 1 << 10, most: 1},
		"inline, 16 KiB":  {handler: inline, payload: 16 << 10, most: 1},
		"a goroutine":     {handler: echo, payload: 16, most: 2},
		"nobody to serve": {payload: 16, most: 4}, // the rejection's text and error

		"extension":             {handler: inline, most: 1, mode: ExtensionAsk},
		"extension, a deadline": {handler: inline, most: 7, mode: ExtensionAsk, limit: time.Hour}, // which travels
	} {
		t.Run(name, func(t *testing.T) {
			a, b := connected(t, "tcp", Options{Extension: c.mode}, Options{Handler: c.handler})
			payload, buf := make([]byte, c.payload), make([]byte, 0, max(c.payload, 64))
			ctx := context.Background()
			if c.limit > 0 {
				limited, cancel := context.WithTimeout(ctx, c.limit)
				defer cancel()
				ctx = limited
			}
			call := func() {
				resp, err := a.Call(ctx, Request{Payload: payload, Buffer: buf})
				if (err == nil) != (c.handler != nil) || (err == nil && len(resp.Payload) != c.payload) {
					t.Fatalf("%d bytes, %v", len(resp.Payload), err)
				}
			}
			got := testing.AllocsPerRun(2000, call)
			t.Logf("%v allocations in a round trip", got)
			if !raceDetector && got > c.most {
				t.Errorf("%v allocations in a round trip, want at most %v", got, c.most)
			}
			// Under the race detector pools give little back; it must still be few.
			if raceDetector && got > c.most+20 {
				t.Errorf("%v allocations in a round trip, even for the race detector too many", got)
			}
			// What was sent and answered in that time, so that it measures calls.
			if s := b.Stats(); s.RequestsReceived < 2000 {
				t.Errorf("%d requests", s.RequestsReceived)
			}
		})
	}
}

// An idle connection holds no buffers, whatever went over it.
func TestIdleConnectionHoldsNoBuffer(t *testing.T) {
	a, b := connected(t, "tcp", Options{}, Options{Handler: echo})
	for _, size := range []int{10, 100 << 10, 3 << 20} {
		if _, err := a.Call(deadline(t), Request{Payload: make([]byte, size)}); err != nil {
			t.Fatal(err)
		}
		atRest(t, a, b)
		for _, c := range []*Conn{a, b} {
			c.mu.Lock()
			if c.out.pending.buf != nil {
				t.Errorf("after %d bytes: %d to send", size, cap(c.out.pending.buf.b))
			}
			c.mu.Unlock()
		}
	}
	before := heap()
	var conns []*Conn
	for range 200 {
		a, b := connected(t, "tcp", Options{}, Options{Handler: echo})
		if _, err := a.Call(deadline(t), Request{Payload: make([]byte, 64<<10)}); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, a, b)
	}
	if each := (heap() - before) / int64(len(conns)); each > 6<<10 {
		t.Errorf("an idle connection takes %d bytes", each)
	}
}
