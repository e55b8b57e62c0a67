package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Run is a plan that is carried out. Its methods may be called concurrently.
type Run struct {
	plan    Plan
	conns   []connection
	callers []*caller
	tallies []*tally

	ctx   context.Context // when it ends, requests in flight are given up
	start time.Time
	begun atomic.Uint64 // number of the next request
	turns chan uint64   // with a rate: numbers of requests that are due; closed at the end

	stopped atomic.Bool   // no more requests may begin
	stop    chan struct{} // closed with it
	halt    func()        // makes it so

	callersLeft sync.WaitGroup
	done        chan struct{} // closed when all callers have ended and final is set
	final       atomic.Pointer[Report]
	watching    sync.WaitGroup // the goroutines besides callers
}

type connection struct {
	conn  *stream.Conn
	close func() error // may be nil
}

// closeTimeout bounds the orderly end of the connections.
const closeTimeout = 2 * time.Second

// Start dials all connections and starts the callers. An error means that the
// plan is wrong or that a connection could not be made; nothing is left open
// then. When ctx ends requests in flight are given up, without being counted, and
// the run ends. Call Close at the end.
func Start(ctx context.Context, p Plan) (*Run, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if p.Timeout == 0 {
		p.Timeout = DefaultTimeout
	}
	r := &Run{plan: p, ctx: ctx, stop: make(chan struct{}), done: make(chan struct{})}
	r.halt = sync.OnceFunc(func() { r.stopped.Store(true); close(r.stop) })
	if err := r.dial(); err != nil {
		r.Close()
		return nil, err
	}
	for range min(p.Conns*p.Callers, 2*runtime.GOMAXPROCS(0)) {
		r.tallies = append(r.tallies, newTally())
	}
	for i := range p.Conns * p.Callers {
		// Neighbours in the list are on different connections.
		conn := r.conns[i%p.Conns].conn
		r.callers = append(r.callers, newCaller(ctx, conn, p.Exchange(i), r.tallies[i%len(r.tallies)]))
	}
	r.start = time.Now()
	if p.Rate > 0 {
		r.turns = make(chan uint64)
		r.watching.Go(r.pace)
	}
	for _, c := range r.callers {
		r.callersLeft.Go(func() { r.call(c) })
	}
	r.watching.Go(func() {
		r.callersLeft.Wait()
		r.halt() // for the pacer, when all connections were lost
		report := r.report()
		r.final.Store(&report)
		close(r.done)
	})
	r.watching.Go(r.watch)
	return r, nil
}

// dialling is how many connections are dialled at a time.
const dialling = 32

func (r *Run) dial() error {
	ctx, cancel := context.WithTimeoutCause(r.ctx, r.plan.Timeout, fmt.Errorf("not connected in time: %w", context.DeadlineExceeded))
	defer cancel()
	r.conns = make([]connection, r.plan.Conns)
	errs := make([]error, len(r.conns))
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(dialling, len(r.conns)) {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(r.conns) {
					return
				}
				if r.conns[i], errs[i] = r.connect(ctx); errs[i] != nil {
					cancel() // the others are of no use
				}
			}
		})
	}
	all.Wait()
	for i, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("connection %d of %d: %w", i+1, len(r.conns), err)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (r *Run) connect(ctx context.Context) (connection, error) {
	s, closeStream, err := r.plan.Dial(ctx)
	if err != nil {
		return connection{}, err
	}
	conn, err := stream.NewConn(s, r.plan.Options)
	if err != nil && closeStream != nil {
		_ = closeStream()
	}
	return connection{conn, closeStream}, err
}

// call is a caller's life.
func (r *Run) call(c *caller) {
	for {
		n, due, ok := r.next()
		if !ok {
			return
		}
		req := c.exchange.Request(n)
		req.Buffer = c.buffer
		begun := time.Since(r.start)
		ctx := c.begin(begun)
		resp, err := c.conn.Call(ctx, req)
		expired := c.end(r.ctx)
		ended := time.Since(r.start)
		if r.turns != nil {
			begun = due
		}
		if err == nil {
			if cap(resp.Payload) > cap(c.buffer) {
				c.buffer = resp.Payload[:0]
			}
			if err = c.exchange.Verify(resp); err == nil {
				c.tally.answered(ended-begun, len(req.Payload)+len(resp.Payload))
			} else {
				c.tally.failed(wrongAnswer, err)
			}
			continue
		}
		if r.ctx.Err() != nil {
			return // given up with the run
		}
		outcome := outcomeOf(err, expired)
		c.tally.failed(outcome, err)
		switch outcome {
		case stream.OutcomeLost:
			<-c.conn.Received() // closed just behind its calls; the report looks at it
			return
		case stream.OutcomeRefused:
			return // so would all that follow be
		}
	}
}

// next returns the number of the next request, and with a rate the time after
// the start at which it is due. It reports false when no more may begin.
func (r *Run) next() (n uint64, due time.Duration, ok bool) {
	if r.turns != nil {
		n, ok = <-r.turns
		if ok {
			due = r.plan.due(n)
		}
		return n, due, ok
	}
	n = r.begun.Add(1) - 1
	return n, 0, !r.stopped.Load() && (r.plan.Requests == 0 || n < r.plan.Requests)
}

// Done is closed when the run has ended.
func (r *Run) Done() <-chan struct{} { return r.done }

// Wait waits for the end of the run and returns its result.
func (r *Run) Wait() Report {
	<-r.done
	return *r.final.Load()
}

// Report returns the result so far, or that of the whole run if it has ended.
func (r *Run) Report() Report {
	if final := r.final.Load(); final != nil {
		return *final
	}
	return r.report()
}

// Close stops the run, and ends the connections in order, or by force after 2 s.
func (r *Run) Close() {
	r.halt()
	r.watching.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var all sync.WaitGroup
	for _, c := range r.conns {
		if c.conn == nil {
			continue
		}
		all.Go(func() {
			_ = c.conn.Shutdown(ctx) // what went wrong has been counted
			if c.close != nil {
				_ = c.close()
			}
		})
	}
	all.Wait()
}
