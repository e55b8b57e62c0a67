package stream

import "time"

// Calls that callers make who were woken by the same batch of answers begin right one after
// the other, and go out together. As long as they do, some share a look at the clock, which
// is a good part of what observers add to a call. So a call may be shown to have begun
// earlier than it has: when the first of them did, whose callers have all had their
// turn in the time that the reader gives those whom it has woken. Calls that an observer
// follows from their beginning on look for themselves.
const (
	// looksShared is how many calls share a look, and of larger batches a looksPart of those
	// who were woken, up to looksSharedMost: what a call is shown to have begun earlier is
	// then about that part of the time in which its batch begins.
	looksShared     = 4
	looksPart       = 32
	looksSharedMost = 16
	// looksClose is what callers of a batch may take to begin, on the average. Where it is
	// longer they do other work in between, which is no time of a call.
	looksClose = 2 * time.Microsecond
	// looksApart is in how many batches, after the last one of which that was so, each call looks.
	looksApart = 4
)

// looks are those of the calls that begin while those whom the reader has woken have their
// turn. They are guarded by mu. The zero value is for none.
type looks struct {
	woken       int    // callers for whom the reader is about to flush
	first, last moment // of this batch; 0: none yet
	left        int    // how many calls may share the last
	calls       int    // of this batch
	apart       int
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
	if l.apart == 0 {
		l.left = min(max(looksShared, l.woken/looksPart), looksSharedMost) - 1
	}
	return l.last
}

// end is called when those have had their turn who were woken.
func (l *looks) end() {
	if l.calls == 0 {
		l.woken = 0
		return
	}
	apart := max(0, l.apart-1)
	if l.first.until(now()) > time.Duration(l.calls)*looksClose {
		apart = looksApart
	}
	*l = looks{apart: apart}
}
