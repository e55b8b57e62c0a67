package stream

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, pause := range []time.Duration{0, 1, time.Hour} {
			m, at := now(), time.Now()
			time.Sleep(pause) // of the test's own clock
			if got := m.time(); !got.Equal(at) {
				t.Errorf("after %v it is %v, want %v", pause, got, at)
			}
			if got := m.until(now()); got != pause {
				t.Errorf("%v ago, want %v", got, pause)
			}
		}
	})
	var never moment
	if m := now(); !never.time().IsZero() || never.until(m) != 0 || m.until(m-1) != 0 {
		t.Error("a moment that was not looked at, or is to come, has passed")
	}
}
