package stream

import (
	"testing"
	"testing/synctest"
	"time"
)

// Calls that begin close together share looks at the clock, 16 at a time, as long as that is
// within 16 µs.
func TestLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l looks
		// batch is one of calls with some time before each, and says how much earlier each is shown.
		batch := func(calls int, before time.Duration) (early []time.Duration) {
			l.woken += calls
			for range calls {
				time.Sleep(before)
				early = append(early, l.begin().until(now()))
			}
			l.end(0)
			return early
		}
		check := func(what string, early []time.Duration, want ...time.Duration) {
			t.Helper()
			for i, d := range early {
				if d != want[i%len(want)] {
					t.Fatalf("%s: call %d was shown %v early, want %v", what, i, d, want[i%len(want)])
				}
			}
		}
		const us = time.Microsecond
		upTo := func(n int) (list []time.Duration) {
			for i := range n {
				list = append(list, time.Duration(i)*us)
			}
			return list
		}
		check("close together", batch(9, us), upTo(9)...)
		check("a new batch looks anew", batch(2, us), upTo(2)...)
		check("of many", batch(200, us), upTo(looksShared)...)

		check("before it is known that they are apart", batch(4, 20*us), 0, 20*us, 40*us, 60*us)
		check("apart", batch(9, 20*us), 0)
		check("of those before", batch(40, 5*us), 0)
		check("half of that", batch(40, 5*us), 0)
		check("three within 16 µs", batch(40, 5*us), 0, 5*us, 10*us)

		batch(4, time.Second)
		check("long ago", batch(40, us), 0)
		check("half of that", batch(40, us), 0)
		check("a quarter of that", batch(40, us), 0, us)
		check("an eighth", batch(40, us), upTo(4)...)
		check("a sixteenth", batch(40, us), upTo(8)...)
		check("forgotten", batch(40, us), upTo(looksShared)...)

		for range 20 {
			batch(9, 20*us)
			check("apart for long", batch(9, 20*us), 0)
		}
		l.woken = 100
		time.Sleep(time.Hour) // nobody calls
		l.end(0)
		first := l.begin()
		time.Sleep(us)
		if second := l.begin(); first.until(second) != us || l.calls != 0 {
			t.Error("calls of callers who were not woken share a look")
		}
	})
}

// Whoever calls when the woken have had their turn looks for itself.
func TestLookOfALoneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var list listing
		c, _, end := pair(t, Options{Observer: &list}, Options{Handler: echo})
		defer end()
		for range 3 {
			if _, err := c.Call(t.Context(), Request{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			c.mu.Lock()
			if c.out.looks.left != 0 || c.out.looks.woken != 0 {
				t.Errorf("%+v", c.out.looks)
			}
			c.mu.Unlock()
		}
		list.mu.Lock()
		defer list.mu.Unlock()
		if len(list.ends) != 3 {
			t.Fatalf("%d calls", len(list.ends))
		}
		for i := 1; i < len(list.ends); i++ {
			if d := list.ends[i].begun - list.ends[i-1].begun; time.Duration(d) < time.Second {
				t.Errorf("the next one begins %v later", time.Duration(d))
			}
		}
	})
}
