package load

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Report is what a run has come to, so far or in all. Latencies are in
// microseconds with an error of at most 0.1 %, of right answers only.
type Report struct {
	Ops       uint64  `json:"ops"` // requests that were answered right
	PerSecond float64 `json:"ops_per_s"`
	Errors    uint64  `json:"errors"` // other requests; those given up with the run are not counted
	P50       float64 `json:"p50_us"`
	P90       float64 `json:"p90_us"`
	P99       float64 `json:"p99_us"`
	P999      float64 `json:"p999_us"`
	Max       float64 `json:"max_us"`
	Bytes     uint64  `json:"bytes"` // payloads of requests and answers of Ops
	Seconds   float64 `json:"seconds"`

	// ByOutcome has the number of errors by outcome as [stream.Outcome] names
	// them, and wrong_answer. Those that did not happen are left out.
	ByOutcome map[string]uint64 `json:"errors_by_outcome"`
	// Unsent is how many requests a rate asked for that did not begin, because
	// all callers were waiting.
	Unsent uint64 `json:"unsent"`
	// ConnsLost is how many connections ended during the run.
	ConnsLost int `json:"conns_lost"`

	// Examples are the texts of the first error of each outcome.
	Examples map[string]string `json:"-"`
}

func (r *Run) report() Report {
	spent := time.Since(r.start)
	rep := Report{ByOutcome: make(map[string]uint64), Examples: make(map[string]string)}
	latency := newHistogram()
	for _, t := range r.tallies {
		t.mu.Lock()
		latency.Merge(t.latency)
		rep.Bytes += t.bytes
		for i, f := range t.errors {
			if f.count > 0 {
				name := outcomeName(stream.Outcome(i))
				rep.Errors += f.count
				rep.ByOutcome[name] += f.count
				if rep.Examples[name] == "" {
					rep.Examples[name] = f.first
				}
			}
		}
		t.mu.Unlock()
	}
	for _, c := range r.conns {
		select {
		case <-c.conn.Received():
			rep.ConnsLost++
		default:
		}
	}
	rep.Ops = uint64(latency.TotalCount())
	rep.Seconds = spent.Seconds()
	rep.PerSecond = float64(rep.Ops) / max(rep.Seconds, 1e-9)
	rep.P50 = microseconds(latency.ValueAtPercentile(50))
	rep.P90 = microseconds(latency.ValueAtPercentile(90))
	rep.P99 = microseconds(latency.ValueAtPercentile(99))
	rep.P999 = microseconds(latency.ValueAtPercentile(99.9))
	rep.Max = microseconds(latency.Max())
	if r.turns != nil && r.ctx.Err() == nil {
		if due, begun := r.plan.dueBy(spent), r.begun.Load(); due > begun {
			rep.Unsent = due - begun
		}
	}
	return rep
}

func outcomeName(o stream.Outcome) string {
	if o == wrongAnswer {
		return "wrong_answer"
	}
	return o.String()
}

// microseconds keeps nanoseconds as decimals.
func microseconds(ns int64) float64 { return float64(ns) / 1e3 }

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	us := func(v float64) time.Duration {
		d := time.Duration(math.Round(v * 1e3))
		switch { // four digits are enough
		case d >= 10*time.Second:
			return d.Round(10 * time.Millisecond)
		case d >= 10*time.Millisecond:
			return d.Round(10 * time.Microsecond)
		}
		return d.Round(10 * time.Nanosecond)
	}
	text := fmt.Appendf(nil, "ops       %d in %.2f s, %.0f per second\n", r.Ops, r.Seconds, r.PerSecond)
	text = fmt.Appendf(text, "latency   p50 %v, p90 %v, p99 %v, p99.9 %v, max %v\n", us(r.P50), us(r.P90), us(r.P99), us(r.P999), us(r.Max))
	text = fmt.Appendf(text, "payloads  %d bytes, %.1f MB per second\n", r.Bytes, float64(r.Bytes)/1e6/max(r.Seconds, 1e-9))
	text = fmt.Appendf(text, "errors    %d\n", r.Errors)
	for _, name := range slices.Sorted(maps.Keys(r.ByOutcome)) {
		text = fmt.Appendf(text, "          %d %s, the first: %s\n", r.ByOutcome[name], name, r.Examples[name])
	}
	if r.Unsent > 0 {
		text = fmt.Appendf(text, "unsent    %d requests behind the rate that was asked for: more --concurrency, or less --rate\n", r.Unsent)
	}
	if r.ConnsLost > 0 {
		text = fmt.Appendf(text, "lost      %d connections\n", r.ConnsLost)
	}
	_, err := w.Write(text)
	return err
}
