package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/pktsvc/pktsvc/pkg/load"
)

// progress shows on a terminal how far a run is.
type progress struct {
	bar  *progressbar.ProgressBar
	plan *load.Plan
}

// newProgress returns nil where nobody watches: w is not a terminal.
func newProgress(w io.Writer, plan *load.Plan) *progress {
	if !isTerminal(w) {
		return nil
	}
	return newProgressOn(w, plan)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func newProgressOn(w io.Writer, plan *load.Plan) *progress {
	whole := plan.Duration.Milliseconds()
	if plan.Requests > 0 {
		whole = int64(plan.Requests)
	}
	return &progress{plan: plan, bar: progressbar.NewOptions64(max(whole, 1),
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetWidth(24),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionClearOnFinish(),
	)}
}

const progressInterval = 200 * time.Millisecond

// show returns when the run has ended, and has cleared the line then.
func (p *progress) show(run *load.Run) {
	ticker := time.NewTicker(progressInterval)
	defer ticker.Stop()
	for {
		p.draw(run.Report())
		select {
		case <-run.Done():
			_ = p.bar.Finish() // a terminal that has gone away is no reason to stop
			return
		case <-ticker.C:
		}
	}
}

func (p *progress) draw(r load.Report) {
	p.bar.Describe(fmt.Sprintf("%d ops, %.0f per second, p99 %.0f µs, %d errors", r.Ops, r.PerSecond, r.P99, r.Errors))
	at := int64(r.Seconds * 1e3)
	if p.plan.Requests > 0 {
		at = int64(r.Ops + r.Errors)
	}
	_ = p.bar.Set64(min(at, p.bar.GetMax64()-1)) // at the end Finish clears it
}
