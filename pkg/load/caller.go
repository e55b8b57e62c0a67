package load

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// caller asks one request at a time. All but patience belongs to its goroutine.
type caller struct {
	conn     *stream.Conn
	exchange Exchange
	tally    *tally
	buffer   []byte
	patience
}

func newCaller(ctx context.Context, conn *stream.Conn, e Exchange, t *tally) *caller {
	c := &caller{conn: conn, exchange: e, tally: t}
	c.renew(ctx)
	return c
}

// patience gives up requests that take too long. A context and a timer for each
// request would cost more than the request: instead each caller keeps one context
// for as long as it is not cancelled, and the run looks at all callers now and
// then.
type patience struct {
	// begun is when the request in flight began, plus 1, in ns after the start
	// of the run; 0 if there is none. The watcher makes it expired, and only
	// then cancels the context, which the caller renews.
	begun   atomic.Int64
	attempt atomic.Pointer[attempt]
}

// attempt is a context that says of its own end that a deadline passed, so that
// observers of the call see what it was.
type attempt struct {
	context.Context
	cancel context.CancelFunc
	late   atomic.Bool // set before the cancel, if the request took too long
}

// Err returns why the context has ended, or nil.
func (a *attempt) Err() error {
	err := a.Context.Err()
	if err != nil && a.late.Load() {
		return context.DeadlineExceeded
	}
	return err
}

const expired = -1

func (p *patience) renew(ctx context.Context) {
	a := new(attempt)
	a.Context, a.cancel = context.WithCancel(ctx)
	p.attempt.Store(a)
}

// begin returns the context of a request that begins at the given time.
func (p *patience) begin(at time.Duration) context.Context {
	p.begun.Store(int64(at) + 1)
	return p.attempt.Load()
}

// end says that the request has ended, and reports whether it had been given up.
func (p *patience) end(ctx context.Context) bool {
	if p.begun.Swap(0) != expired {
		return false
	}
	p.renew(ctx)
	return true
}

// check gives up the request in flight if it began before a time.
func (p *patience) check(before time.Duration) {
	a := p.attempt.Load()
	// If the request ends meanwhile, the exchange fails and a is not cancelled.
	// If it succeeds, a is still that request's: only end replaces it, after this.
	if begun := p.begun.Load(); begun > 0 && begun <= int64(before) && p.begun.CompareAndSwap(begun, expired) {
		a.late.Store(a.Context.Err() == nil) // if the run is over, that is the cause
		a.cancel()
	}
}

// watch stops the run when its time is over, and gives up requests that take too
// long.
func (r *Run) watch() {
	defer func() {
		for _, c := range r.callers {
			c.attempt.Load().cancel()
		}
	}()
	var over <-chan time.Time
	if r.plan.Duration > 0 {
		timer := time.NewTimer(r.plan.Duration - time.Since(r.start))
		defer timer.Stop()
		over = timer.C
	}
	ticker := time.NewTicker(max(r.plan.Timeout/8, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-r.done:
			return
		case <-r.ctx.Done():
			r.halt()
			<-r.done
			return
		case <-over:
			r.halt()
		case <-ticker.C:
			for _, c := range r.callers {
				c.check(time.Since(r.start) - r.plan.Timeout)
			}
		}
	}
}

// wrongAnswer counts answers that Verify refused, beside the outcomes.
const wrongAnswer = stream.NumOutcomes

func outcomeOf(err error, gaveUp bool) stream.Outcome {
	e := (*stream.Error)(nil)
	switch {
	case gaveUp:
		return stream.OutcomeDeadline
	case errors.As(err, &e):
		return e.Outcome
	}
	return stream.OutcomeRefused
}
