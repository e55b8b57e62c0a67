package stream

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k clock
		for _, pause := range []time.Duration{0, 1, clockKeeps - 1, 0, clockKeeps, time.Hour} {
			time.Sleep(pause)
			if got, want := k.now(), time.Now(); got != want {
				t.Errorf("%v, want %v", got, want)
			}
			if base := *k.base.Load(); time.Since(base) >= clockKeeps {
				t.Errorf("the time of day is of %v ago", time.Since(base))
			}
		}
	})
}
