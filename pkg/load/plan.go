package load

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Limits of a [Plan].
const (
	// MaxCallers is the most callers on all connections together.
	MaxCallers = 1 << 20
	// MaxRate is the highest rate in requests per second.
	MaxRate = 1e9
	// DefaultTimeout is how long an answer is awaited unless the plan says otherwise.
	DefaultTimeout = 30 * time.Second
)

// Exchange makes the requests of one caller and verifies the answers, such as
// [github.com/pktsvc/pktsvc/pkg/diag.Probe]. Its methods are called by that
// caller alone, one after the other.
type Exchange interface {
	// Request returns the request number n. Every n is used once in a run. Of
	// the request Buffer is set by the caller; the payload must stay as it is
	// until Verify or the next Request.
	Request(n uint64) stream.Request
	// Verify says what is wrong with the ok answer to the last request, or nil.
	// The payload is valid only during the call.
	Verify(stream.Response) error
}

// Plan says what load to make.
type Plan struct {
	Dial    stream.Dial
	Options stream.Options // of every connection
	Conns   int            // connections, at least 1
	Callers int            // on each connection, at least 1

	// Exchange makes the exchange of each caller; they are numbered from 0.
	Exchange func(caller int) Exchange

	// The run ends after so many requests, or when no more are to begin after
	// Duration, whichever comes first. Zero is no limit.
	Requests uint64
	Duration time.Duration

	// Rate is how many requests are meant to begin in a second, on all
	// connections together. Zero: every caller as fast as it can.
	Rate float64

	// Timeout is how long an answer is awaited before its request is given up
	// and counted as failed, and how long dialling may take. A request may be
	// given up as much as an eighth of it late. Zero means DefaultTimeout.
	Timeout time.Duration
}

// Validate returns an error that names everything that is wrong.
func (p *Plan) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if p.Dial == nil || p.Exchange == nil {
		wrong("Dial and Exchange must be there")
	}
	if p.Conns < 1 || p.Callers < 1 || p.Conns > MaxCallers || p.Callers > MaxCallers/max(p.Conns, 1) {
		wrong("%d connections with %d callers each, want at least 1 of each and at most %d callers in all", p.Conns, p.Callers, MaxCallers)
	}
	if p.Duration < 0 || p.Timeout < 0 {
		wrong("a duration of %v and a timeout of %v, want none that is negative", p.Duration, p.Timeout)
	}
	if math.IsNaN(p.Rate) || p.Rate < 0 || p.Rate > MaxRate {
		wrong("a rate of %v, want one from 0 to %v", p.Rate, MaxRate)
	}
	return errors.Join(errs...)
}

// due is when request n is meant to begin, after the start of the run.
func (p *Plan) due(n uint64) time.Duration {
	return time.Duration(float64(n) / p.Rate * float64(time.Second))
}

// dueBy is how many requests were meant to begin within d.
func (p *Plan) dueBy(d time.Duration) uint64 {
	if p.Duration > 0 {
		d = min(d, p.Duration)
	}
	n := uint64(math.Ceil(d.Seconds() * p.Rate))
	if p.Requests > 0 {
		n = min(n, p.Requests)
	}
	return n
}
