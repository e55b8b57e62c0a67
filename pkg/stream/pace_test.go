package stream

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		learn := func(n int, d time.Duration, quick bool) {
			t.Helper()
			for range n {
				p.learn(d)
			}
			if p.quick.Load() != quick {
				t.Errorf("quick %t after %d runs of %v, want %t", p.quick.Load(), n, d, quick)
			}
		}
		proof := int(paceProof)
		learn(proof-1, paceQuick, false)
		learn(1, paceQuick+1, false)
		learn(paceSetback, paceQuick, false)
		learn(1, paceQuick, true)

		p.sample(paceSlow + 1)
		p.sample(paceSlow)
		p.sample(paceSlow + 1)
		if !p.quick.Load() {
			t.Error("two slow runs that were not in a row count")
		}
		p.sample(paceSlow + 1)
		learn(4*proof-1, 0, false) // it takes longer now
		learn(1, 0, true)
		p.robbed()
		p.robbed() // counts once
		learn(16*proof-1, 0, false)
		learn(1, 0, true)
		time.Sleep(paceForgets + 1)
		p.robbed()
		learn(proof, 0, true)
		for range 20 {
			p.robbed()
			learn(paceMax, 0, true)
		}
	})
}

// However often a handler had to leave the reader, a few interruptions do not keep it away for
// good; a handler that often takes long stays away.
func TestPaceAmongInterruptions(t *testing.T) {
	for _, c := range []struct {
		oneIn int
		quick bool
	}{{1000, true}, {100, true}, {paceSetback, false}, {10, false}} {
		var p pace
		p.need.Store(paceMax)
		for i := 1; i <= 4*paceMax && !p.quick.Load(); i++ {
			d := time.Duration(0)
			if i%c.oneIn == 0 {
				d = time.Second
			}
			p.learn(d)
		}
		if p.quick.Load() != c.quick {
			t.Errorf("one run in %d is slow: quick %t, want %t", c.oneIn, p.quick.Load(), c.quick)
		}
	}
}
