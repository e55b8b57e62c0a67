package stream

import (
	"sync/atomic"
	"time"
)

// clockKeeps is how long the time of day is taken to go on evenly: a step of the
// system's clock is seen so late at the most.
const clockKeeps = time.Second

// clock tells times as time.Now does, for two thirds of the price: it asks for the time of
// day only now and then, and adds what has passed since. The zero value is ready to use. Its
// methods may be called concurrently.
type clock struct{ base atomic.Pointer[time.Time] }

func (k *clock) now() time.Time {
	if base := k.base.Load(); base != nil {
		if passed := time.Since(*base); passed < clockKeeps {
			return base.Add(passed)
		}
	}
	now := time.Now()
	k.base.Store(&now)
	return now
}
