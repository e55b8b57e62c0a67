package top

import (
	"context"
	"time"
)

// Follow polls a server each so often after a first sample, and shows what has happened
// between each two polls: so many times, or if that is 0 until ctx ends, which is no
// error. A poll that fails is shown as such; the interval of the next that does not then
// reaches back to the last one that did not. It blocks, and calls poll and show in turn;
// an error of show ends it.
func Follow(ctx context.Context, first *Sample, every time.Duration, times int, poll func(context.Context) (*Sample, error), show func(*Interval) error) error {
	ticker := time.NewTicker(every) // drops ticks while a poll takes longer
	defer ticker.Stop()
	last := first
	for n := 0; times == 0 || n < times; n++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		sample, err := poll(ctx)
		if ctx.Err() != nil {
			return nil
		}
		next := &Interval{Now: time.Now()}
		if err != nil {
			next.Error = err.Error()
		} else {
			next.Now, next.Figures = sample.Totals.Now, Between(last, sample)
			last = sample
		}
		if err := show(next); err != nil {
			return err
		}
	}
	return nil
}
