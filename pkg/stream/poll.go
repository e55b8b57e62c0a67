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
// has a turn. Readers for which that does not pay soon do it seldom, and while more
// connections are read than may poll none does: the scheduler looks for the bytes of
// others only where nobody has anything to do, and the system gives a thread that polls
// milliseconds before it lets others run.

const (
	// minPolls is how often a reader asks again before it waits: some 50 µs; and
	// pollsAPacket how many times more for each packet that came before. Who waits while
	// the peer works on many soon makes it wait as well: then the two take turns, instead
	// of working at the same time, and waking each other costs as much as the work.
	minPolls     = 200
	pollsAPacket = 2
	// maxPolling bounds how long it does so, also where others take long turns in
	// between, and pollsALook after how many it looks: until it waits it cannot be
	// interrupted.
	maxPolling = time.Millisecond
	pollsALook = 8
	// pollStreak is after how many times in a row that bytes came while the reader asked
	// it waits all the same: only when nobody has anything to do does the scheduler
	// look for the bytes of other connections.
	pollStreak = 256
	// maxPollPause bounds how many packets come to a reader for which polling does not pay
	// until it tries again. So polling that never pays costs less than a microsecond for each.
	maxPollPause = 1024
)

// activePeriod is the time for which connections that are read are counted.
const activePeriod = 5 * time.Millisecond

// activity counts the connections from which something was read in this period and in the
// one before. It is exact enough to decide by: what is noted while a period begins may be
// lost. Its methods may be called concurrently.
type activity struct {
	period      atomic.Int64
	now, before atomic.Int32
}

// active are the connections of this process.
var active activity

// note counts a reader, which gives the period in which it was counted last.
func (a *activity) note(at moment, last *int64) {
	period := int64(at) / int64(activePeriod)
	if p := a.period.Load(); period > p && a.period.CompareAndSwap(p, period) {
		before := a.now.Load()
		if period > p+1 {
			before = 0
		}
		a.before.Store(before)
		a.now.Store(0)
	}
	if *last != period {
		*last = period
		a.now.Add(1)
	}
}

func (a *activity) conns() int32 { return max(a.now.Load(), a.before.Load()) }

// polling is how many readers poll now: at most half of the goroutines that can run at a
// time, but one at the least, so that they do not take it from each other.
var polling atomic.Int32

// polls decides whether a reader polls. It belongs to the reader.
type polls struct {
	most   int32 // readers that may poll at a time; 0: this one never does
	active *activity
	period int64 // in which this reader was counted last
	batch  int   // packets that came since it last found nothing, maxPollPause at the most
	streak int   // successful ones in a row
	pause  int   // packets to come until it polls again, after the next failure
	skip   int   // of them, how many are left; 0 or less: none
}

func newPolls(never bool) polls {
	if never {
		return polls{}
	}
	return polls{most: int32(max(1, runtime.GOMAXPROCS(0)/2)), active: &active}
}

// came notes that something was read, and returns when, if it had to look; else 0.
func (p *polls) came() (at moment) {
	if p.most > 0 {
		at = now()
		p.active.note(at, &p.period)
	}
	return at
}

// handled notes how many packets were read.
func (p *polls) handled(packets int) { p.batch = min(p.batch+packets, maxPollPause) }

// begin says how often to ask again where nothing was found; 0: not at all. Otherwise end
// must be called.
func (p *polls) begin() (times int) {
	batch := p.batch
	p.batch = 0
	switch {
	case p.most == 0:
		return 0
	case p.skip > 0:
		p.skip -= max(1, batch)
		return 0
	case p.streak == pollStreak:
		p.streak = 0
		return 0
	case p.active.conns() > p.most:
		return 0
	}
	if polling.Add(1) > p.most {
		polling.Add(-1)
		return 0
	}
	return minPolls + pollsAPacket*batch
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
