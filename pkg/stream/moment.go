package stream

import "time"

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

// time is m as a time of day, by today's clock; the zero time where it was not looked at.
func (m moment) time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	t := time.Now()
	return t.Add(time.Duration(m) - t.Sub(epoch))
}
