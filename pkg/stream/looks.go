package stream

import "time"

// Calls that callers make who were woken by the same batch of answers begin right one after
// the other, and go out together. As long as they do, some share a look at the clock, which
// is a good part of what observers add to a call: it waits for all memory that the processor
// has asked for, and of many callers most is in no near cache. So a call may be shown to
// have begun earlier than it has: when the first of them did, whose callers have all had
// their turn in the time that the reader gives those whom it has woken. Calls that an
// observer follows from their beginning on look for themselves.
const (
	looksShared = 16 // how many calls share a look, at the most
	// looksWithin is how much earlier a call may be shown to have begun, by the average of
	// earlier batches. Where callers do other work in between, each call looks.
	looksWithin = 16 * time.Microsecond
)

// looks are those of the calls that begin while those whom the reader has woken have their
// turn. They are guarded by mu. The zero value is for none.
type looks struct {
	woken       int    // callers for whom the reader is about to flush
	first, last moment // of this batch; 0: none yet
	left        int    // how many calls may share the last
	calls       int    // of this batch

	each time.Duration // from one call to the next, of earlier batches
}

// begin returns when a call begins.
func (l *looks) begin() moment {
	if l.woken == 0 {
		return now()
	}
	l.calls++
	if l.left > 0 {
		l.left--
		return l.last
	}
	l.last = now()
	if l.first == 0 {
		l.first = l.last
	}
	l.left = l.shared() - 1
	return l.last
}

// shared is how many calls share the next look, at least one.
func (l *looks) shared() int {
	return max(1, min(looksShared, int(looksWithin/max(1, l.each))))
}

// end is called when those have had their turn who were woken; at is now, or 0 if nobody
// has looked. It returns at, or when it has looked itself.
func (l *looks) end(at moment) moment {
	if l.calls == 0 {
		l.woken = 0
		return at
	}
	if at == 0 {
		at = now()
	}
	// One batch may be late because something else ran. It is forgotten by halves, so that
	// few others look more often for it; but a batch of callers who do other work is not
	// forgotten at once.
	each := min(l.first.until(at)/time.Duration(l.calls), 2*looksWithin)
	*l = looks{each: max(each, l.each/2)}
	return at
}
