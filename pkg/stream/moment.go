package stream

import (
	"sync/atomic"
	"time"
)

// moment is a time of the engine, in nanoseconds since it began: half the price of a
// time.Time. 0 stands for a time that was not looked at.
type moment int64

var epoch = time.Now()

func now() moment { return moment(time.Since(epoch)) }

// until is the time from m to a later moment; 0 where one of them was not looked at.
func (m moment) until(later moment) time.Duration {
	if m == 0 || later == 0 {
		return 0
	}
	return max(0, time.Duration(later-m))
}

// time is m as a time of day, by the clock as it was within wallNear of m, or is now; the
// zero time where it was not looked at.
func (m moment) time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	w := lastWall.Load()
	if w == nil || m < w.at-wallNear || m > w.at+wallNear {
		t := time.Now()
		w = &wall{moment(t.Sub(epoch)), t}
		lastWall.Store(w)
	}
	return w.time.Add(time.Duration(m - w.at))
}

// wall is a look at the clock of the day. It costs more than a moment does, but has to be
// had again and again: that clock may be set.
type wall struct {
	at   moment
	time time.Time
}

const wallNear = moment(time.Second)

var lastWall atomic.Pointer[wall]
