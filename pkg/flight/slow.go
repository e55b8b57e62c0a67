package flight

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Limits of thresholds that are learned.
const (
	// MinLearned is the least time from which on a request is slow by a learned threshold:
	// below that, differences are of machines and not of services.
	MinLearned = time.Millisecond
	// minSamples is how many requests of a type say where its slowest hundredth begins.
	minSamples = 1000
)

// thresholds are from when on requests are slow. They are never changed, only replaced.
type thresholds struct {
	low    [64]time.Duration // of types below
	others map[uint64]time.Duration
	rest   time.Duration
	least  time.Duration // of all of these
}

// newThresholds makes them of times for some types, and one for all others. Times that are
// not above zero stand for never.
func newThresholds(types map[uint64]time.Duration, rest time.Duration) *thresholds {
	orNever := func(d time.Duration) time.Duration {
		if d <= 0 {
			return math.MaxInt64
		}
		return d
	}
	t := &thresholds{others: maps.Clone(types), rest: orNever(rest), least: orNever(rest)}
	for i := range t.low {
		t.low[i] = t.rest
	}
	for typ, d := range t.others {
		d = orNever(d)
		t.others[typ] = d
		if typ < uint64(len(t.low)) {
			t.low[typ] = d
		}
		t.least = min(t.least, d)
	}
	return t
}

// from is the time from which on a type is slow.
func (t *thresholds) from(typ uint64) time.Duration {
	if typ < uint64(len(t.low)) {
		return t.low[typ]
	}
	if d, known := t.others[typ]; known {
		return d
	}
	return t.rest
}

// may says whether one of some requests took long enough to be slow, if it is of some type.
func (t *thresholds) may(ends []stream.End) bool {
	for i := range ends {
		if ends[i].Duration >= t.least {
			return true
		}
	}
	return false
}

// slow says whether a request that has ended was slow.
func (t *thresholds) slow(e *stream.End) bool {
	return e.Duration >= t.least && e.Duration >= t.from(e.Type)
}

// Learn sets the thresholds of types from the requests that are remembered: slow is, from
// now on, what takes longer than 99 of 100 of its type have, where at least 1000 are known,
// but nothing below MinLearned, and all from Options.Slow on. Types that
// Options.SlowTypes names keep their thresholds. It takes some milliseconds, in which it
// blocks nobody for long; it is meant to be called now and then.
func (r *Recorder) Learn() {
	took := make(map[uint64][]time.Duration)
	for i := range r.shards {
		r.shards[i].each(func(rec *record) bool {
			if rec.outcome == stream.OutcomeOK {
				took[rec.Type] = append(took[rec.Type], rec.Duration)
			}
			return true
		})
	}
	types := maps.Clone(r.opts.SlowTypes)
	if types == nil {
		types = make(map[uint64]time.Duration)
	}
	for typ, list := range took {
		if _, fixed := types[typ]; fixed || len(list) < minSamples {
			continue
		}
		slices.Sort(list)
		learned := max(list[len(list)*99/100]+1, MinLearned)
		if r.opts.Slow > 0 {
			learned = min(learned, r.opts.Slow)
		}
		types[typ] = learned
	}
	r.thresholds.Store(newThresholds(types, r.opts.Slow))
}

// SlowFrom is how long a request of a type takes from which on it is slow; 0: none is.
func (r *Recorder) SlowFrom(typ uint64) time.Duration {
	if d := r.thresholds.Load().from(typ); d != math.MaxInt64 {
		return d
	}
	return 0
}
