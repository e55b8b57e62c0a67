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

// The clock of the day is looked at anew where the last look was long before, or after.
func TestWall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer lastWall.Store(nil)
		const set = time.Hour // since the last look
		for _, tt := range []struct{ since, want time.Duration }{
			{0, set}, {time.Second, set}, {time.Second + 1, 0}, {-time.Second, set}, {-time.Second - 1, 0}, {time.Hour, 0},
		} {
			m := now()
			lastWall.Store(&wall{m - moment(tt.since), time.Now().Add(-tt.since - set)})
			if got := time.Since(m.time()); got != tt.want {
				t.Errorf("%v after the last look: %v behind, want %v", tt.since, got, tt.want)
			}
		}
	})
}
