package stream

import (
	"runtime"
	"sync/atomic"
	"time"
)

// A reader that finds nothing on its socket asks again a few times before it waits to
// be woken: where requests and answers follow each other closely, the next bytes are
// there within microseconds, while being woken takes tens of them, of which much is CPU
// time of this process and of the one that wakes it. Between two looks everybody else
// has a turn. Readers for which that does not pay soon do it seldom.

const (
	// maxPolls is how often a reader asks again before it waits: some 50 µs.
	maxPolls = 200
	// maxPolling bounds how long it does so where others take long turns in between, and
	// pollsALook after how many it looks: until it waits it cannot be interrupted.
	maxPolling = time.Millisecond
	pollsALook = 8
	// pollStreak is after how many times in a row that bytes came while the reader asked
	// it waits all the same: only when nobody has anything to do does the scheduler
	// look for the bytes of other connections.
	pollStreak = 256
	// maxPollPause bounds how many waits a reader for which polling does not pay goes
	// through without it.
	maxPollPause = 1024
)

// polling is how many readers poll now: at most half of the goroutines that can run at a
// time, but one at the least, so that they do not take it from each other.
var polling atomic.Int32

// polls decides whether a reader polls. It belongs to the reader.
type polls struct {
	most   int32 // readers that may poll at a time; 0: this one never does
	streak int   // successful ones in a row
	pause  int   // waits to go through without polling, after the next failure
	skip   int   // of them, how many are left
}

func newPolls(never bool) polls {
	if never {
		return polls{}
	}
	return polls{most: int32(max(1, runtime.GOMAXPROCS(0)/2))}
}

// begin says whether to poll now. If so, end must be called.
func (p *polls) begin() bool {
	switch {
	case p.most == 0:
		return false
	case p.skip > 0:
		p.skip--
		return false
	case p.streak == pollStreak:
		p.streak = 0
		return false
	}
	if polling.Add(1) > p.most {
		polling.Add(-1)
		return false
	}
	return true
}

// end takes note of whether bytes came meanwhile.
func (p *polls) end(came bool) {
	polling.Add(-1)
	if came {
		p.streak++
		p.pause = 0
		return
	}
	p.streak = 0
	p.pause = min(max(1, 2*p.pause), maxPollPause)
	p.skip = p.pause
}
