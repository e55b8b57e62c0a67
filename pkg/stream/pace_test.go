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
		streak := int(paceStreak)
		learn(streak-1, paceQuick, false)
		learn(1, paceQuick+1, false)
		learn(streak-1, paceQuick, false)
		learn(1, paceQuick, true)

		p.sample(paceSlow + 1)
		p.sample(paceSlow)
		p.sample(paceSlow + 1)
		if !p.quick.Load() {
			t.Error("two slow runs that were not in a row count")
		}
		p.sample(paceSlow + 1)
		learn(4*streak-1, 0, false) // it takes longer now
		learn(1, 0, true)
		p.robbed()
		p.robbed() // counts once
		learn(16*streak-1, 0, false)
		learn(1, 0, true)
		time.Sleep(paceForgets + 1)
		p.robbed()
		learn(streak, 0, true)
		for range 20 {
			p.robbed()
			learn(paceMax, 0, true)
		}
	})
}
