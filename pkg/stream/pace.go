package stream

import (
	"sync/atomic"
	"time"
)

const (
	paceQuick   = 5 * time.Microsecond  // a run that counts towards running on the reader
	paceSlow    = 10 * time.Microsecond // one that counts against it
	paceMax     = 16 << 10
	paceSetback = 64              // quick runs that one undoes which is not
	paceForgets = 2 * time.Second // on the reader, after which earlier failures are forgotten
)

// paceProof is how many quick runs a type needs to run on the reader; four times as many with
// each time that it had to leave it again. Not in a row: of the quickest handlers one run in a
// thousand is interrupted by the system, which says nothing about them. A variable for tests.
var paceProof int32 = 256

// pace is how quick the handler of a request type is. All connections that it serves
// share it. Its methods may be called concurrently.
type pace struct {
	inline bool         // it is declared to be quick, and not judged
	quick  atomic.Bool  // it has proved to be, and runs on the reader
	proof  atomic.Int32 // quick runs that are not undone, while it does not
	slow   atomic.Int32 // slow ones in a row among those that were timed, while it does
	need   atomic.Int32 // times paceProof; 0 is 1
	since  atomic.Int64 // when it began to, a moment
}

func inlinePace() *pace { return &pace{inline: true} }

// isInline says whether a handler is declared to be quick. p may be nil.
func (p *pace) isInline() bool { return p != nil && p.inline }

// learns says whether a run that was not on the reader is to be timed. p may be nil.
func (p *pace) learns() bool { return p != nil && !p.inline && !p.quick.Load() }

// learn takes note of a run that was not on the reader. Of runs that end at the same time one
// may be lost.
func (p *pace) learn(d time.Duration) {
	if d > paceQuick {
		if n := p.proof.Load(); n != 0 {
			p.proof.Store(max(0, n-paceSetback))
		}
		return
	}
	if p.proof.Add(1) >= min(paceProof*max(p.need.Load(), 1), paceMax) {
		p.proof.Store(0)
		p.slow.Store(0)
		p.since.Store(int64(now()))
		p.quick.Store(true)
	}
}

// sample takes note of a run on the reader.
func (p *pace) sample(d time.Duration) {
	switch {
	case d > paceSlow:
		if p.slow.Add(1) >= 2 {
			p.robbed()
		}
	case p.slow.Load() != 0:
		p.slow.Store(0)
	}
}

// robbed ends its running on the reader, for longer than the last time.
func (p *pace) robbed() {
	if !p.quick.CompareAndSwap(true, false) {
		return
	}
	p.proof.Store(0)
	if moment(p.since.Load()).until(now()) > paceForgets {
		p.need.Store(1)
	} else {
		p.need.Store(min(4*max(p.need.Load(), 1), paceMax))
	}
}
