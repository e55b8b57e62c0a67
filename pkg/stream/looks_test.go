package stream

import (
	"testing"
	"testing/synctest"
	"time"
)

// Calls that begin close together share looks at the clock, four at a time, or more of many;
// where their callers do other work in between each has its own, for some time.
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
			l.end()
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
		check("close together", batch(9, us), 0, us, 2*us, 3*us)
		check("a new batch looks anew", batch(2, us), 0, us)
		check("of 192, six", batch(192, us), 0, us, 2*us, 3*us, 4*us, 5*us)
		for i, d := range batch(100*looksPart, us) {
			if d != time.Duration(i%looksSharedMost)*us {
				t.Fatalf("of very many: call %d was shown %v early", i, d)
			}
		}
		check("before it is known that they are apart", batch(5, 3*us), 0, 3*us, 6*us, 9*us)
		for range looksApart {
			check("apart", batch(9, us), 0)
		}
		check("close together again", batch(4, us), 0, us, 2*us, 3*us)

		batch(4, 3*us)
		for range 3 * looksApart {
			check("apart for long", batch(9, 3*us), 0)
		}
		l.woken = 100
		time.Sleep(time.Hour) // nobody calls
		l.end()
		first := l.begin()
		time.Sleep(us)
		if second := l.begin(); first.until(second) != us || l.calls != 0 {
			t.Error("calls of callers who were not woken share a look")
		}
		for range looksApart {
			check("since then", batch(1, us), 0)
		}
		check("close together at last", batch(2, us), 0, us)
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
