package load

import "time"

// pace hands out the turns of a run with a rate, each when it is due or, if all
// callers are waiting for answers then, as soon as one is free.
func (r *Run) pace() {
	defer close(r.turns)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for n := uint64(0); r.plan.Requests == 0 || n < r.plan.Requests; n++ {
		due := r.plan.due(n)
		if r.plan.Duration > 0 && due >= r.plan.Duration || !r.waitUntil(due, timer) {
			return
		}
		select {
		case r.turns <- n: // to somebody who is free, even if the time is over just now
		default:
			select {
			case r.turns <- n:
			case <-r.stop:
				return
			}
		}
		r.begun.Store(n + 1)
	}
}

// coarse is how late a timer of the runtime may be: it waits in milliseconds.
const coarse = 2 * time.Millisecond

// waitUntil waits until due after the start. It reports false when the run was
// stopped before.
func (r *Run) waitUntil(due time.Duration, timer *time.Timer) bool {
	if wait := due - time.Since(r.start); wait > coarse {
		timer.Reset(wait - coarse)
		select {
		case <-timer.C:
		case <-r.stop:
			return false
		}
	}
	for {
		wait := due - time.Since(r.start)
		if wait <= 0 {
			return r.ctx.Err() == nil
		}
		pause(wait)
	}
}
