package flight

import (
	"fmt"
	"slices"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// watching is who watches requests as they end. It is never changed, only replaced, and
// not there while nobody does: then it costs nothing.
type watching struct {
	rules []*Rule
	taps  []*Tap
}

// match says which rules take a request, and which taps want it: a bit for each.
func (w *watching) match(rec *record) (rules, taps uint64) {
	for i, rule := range w.rules {
		if rule.takes(rec) {
			rules |= 1 << i
		}
	}
	for i, t := range w.taps {
		if t.match.record(rec) {
			taps |= 1 << i
		}
	}
	return rules, taps
}

func (w *watching) rulesOf(bits uint64) (list []*Rule) {
	for i, rule := range w.rules {
		if bits>>i&1 != 0 {
			list = append(list, rule)
		}
	}
	return list
}

// show gives a request to taps.
func (w *watching) show(r *Recorder, n *Notable, bits uint64) {
	for i, t := range w.taps {
		if bits>>i&1 != 0 {
			t.show(r, n)
		}
	}
}

// Tap shows requests as they end. Its methods may be called concurrently.
type Tap struct {
	// Requests are those that match, in about the order in which they ended. It is never
	// closed.
	Requests <-chan Request

	recorder *Recorder
	match    *Match
	limit    *rate.Limiter
	to       chan Request
	dropped  atomic.Uint64
}

// tapBuffer is how many requests wait for whoever reads a tap.
const tapBuffer = 256

// Tap begins to show requests that match, until Close: up to some in a second, beyond
// which they are counted as dropped, like those for which the reader is too slow. There
// are no more than MaxTaps at a time.
func (r *Recorder) Tap(m *Match, perSecond int) (*Tap, error) {
	to := make(chan Request, tapBuffer)
	t := &Tap{Requests: to, recorder: r, match: m, to: to, limit: rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond))}
	full := false
	r.watch(func(w *watching) {
		if full = len(w.taps) >= MaxTaps; !full {
			w.taps = append(w.taps, t)
		}
	})
	if full {
		return nil, fmt.Errorf("%d taps are open already: close one", MaxTaps)
	}
	return t, nil
}

// MaxTaps is how many taps there are at a time.
const MaxTaps = 16

// Close ends it. What is in Requests can still be read.
func (t *Tap) Close() {
	t.recorder.watch(func(w *watching) {
		w.taps = slices.DeleteFunc(w.taps, func(other *Tap) bool { return other == t })
	})
}

// Dropped is how many requests have matched and were not shown.
func (t *Tap) Dropped() uint64 { return t.dropped.Load() }

// show gives it a request.
func (t *Tap) show(r *Recorder, n *Notable) {
	if !t.limit.Allow() {
		t.dropped.Add(1)
		return
	}
	select {
	case t.to <- r.Request(n):
	default:
		t.dropped.Add(1)
	}
}

// watch replaces watching by a changed copy.
func (r *Recorder) watch(change func(*watching)) {
	if r.replaceWatching(change) {
		r.askAgain()
	}
}

// replaceWatching says whether payloads are wanted where they were not, or the reverse.
func (r *Recorder) replaceWatching(change func(*watching)) (payloads bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.wantsPayloads()
	w := new(watching)
	if old := r.watching.Load(); old != nil {
		w.rules, w.taps = slices.Clone(old.rules), slices.Clone(old.taps)
	}
	change(w)
	if len(w.rules)+len(w.taps) == 0 {
		w = nil
	}
	r.watching.Store(w)
	return before != r.wantsPayloads()
}
