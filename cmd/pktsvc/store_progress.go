package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/pktsvc/pktsvc/pkg/tree"
)

// sizeOf is how many bytes the files of some trees have. What cannot be read counts for
// nothing: storing it will say so.
func sizeOf(ctx context.Context, paths []string) (total int64) {
	for _, path := range paths {
		root, err := filepath.EvalSymlinks(path) // of what is given, links are followed
		if err != nil {
			continue
		}
		_ = filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return ctx.Err()
			}
			if info, err := d.Info(); err == nil {
				total += info.Size()
			}
			return ctx.Err()
		})
	}
	return total
}

// writes tells how much there is to get, if it is a file.
func (t *transfer) writes(ref tree.Reference) {
	if !ref.Directory && ref.Ref.Span <= math.MaxInt64 {
		t.total.Store(int64(ref.Ref.Span)) //nolint:gosec // it was compared
	}
}

func (t *transfer) watchOn(ctx context.Context, w io.Writer, f func() error) error {
	line := &transferLine{w: w}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	size := make(chan int64, 1)
	go func() { size <- sizeOf(ctx, t.sources) }()
	ticker := time.NewTicker(progressInterval)
	defer ticker.Stop()
	done := make(chan error, 1)
	go func() { done <- f() }()
	for {
		select {
		case err := <-done:
			line.clear()
			return err
		case n := <-size:
			t.total.CompareAndSwap(0, n)
		case <-ticker.C:
			line.draw(t.progress.Counts(), t.total.Load())
		}
	}
}

// transferLine shows how far a transfer is: with a bar and the time that is left where
// the total is known. A terminal that has gone away is no reason to stop.
type transferLine struct {
	w      io.Writer
	bar    *progressbar.ProgressBar // nil: nothing is shown yet
	total  int64                    // of bar; 0: it only turns
	before tree.Counts
}

func (l *transferLine) draw(now tree.Counts, total int64) {
	if l.bar == nil || total != l.total {
		l.clear()
		l.begin(total)
	}
	before := l.before
	l.before = now
	if l.total == 0 {
		l.bar.Describe(describe(now, before))
		_ = l.bar.Add(1)
		return
	}
	l.bar.Describe(describeOf(now, before, uint64(l.total))) //nolint:gosec // it is positive
	at := int64(min(now.Bytes, uint64(l.total-1)))           //nolint:gosec // at the end clear ends it
	if at < l.bar.State().CurrentNum {                       // it is read once more
		l.bar.Reset()
	}
	_ = l.bar.Set64(at)
}

func (l *transferLine) begin(total int64) {
	l.total = total
	options := []progressbar.Option{
		progressbar.OptionSetWriter(l.w),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionClearOnFinish(),
	}
	if total > 0 {
		options = append(options, progressbar.OptionSetWidth(16), progressbar.OptionSetPredictTime(true))
	} else {
		total = -1
		options = append(options, progressbar.OptionSpinnerType(14))
	}
	l.bar = progressbar.NewOptions64(total, options...)
}

func (l *transferLine) clear() {
	if l.bar != nil {
		_ = l.bar.Finish()
	}
}

// describe is a line of progress. The rates are those since the counts before.
func describe(now, before tree.Counts) string {
	return fmt.Sprintf("%d files, %s at %s; %d blocks moved, %s at %s; %d blocks were there",
		now.Files, bytesText(now.Bytes), perSecond(now.Bytes, before.Bytes),
		now.BlocksMoved, bytesText(now.BytesMoved), perSecond(now.BytesMoved, before.BytesMoved), now.BlocksThere)
}

// describeOf is describe where the total is known: with the bar it fits into 80 columns.
func describeOf(now, before tree.Counts, total uint64) string {
	return fmt.Sprintf("%s of %s at %s; %s moved", bytesText(now.Bytes), bytesText(total), perSecond(now.Bytes, before.Bytes), bytesText(now.BytesMoved))
}

// perSecond is a rate for people. What is read once more has none.
func perSecond(now, before uint64) string {
	return bytesText(uint64(float64(now-min(now, before))/progressInterval.Seconds())) + "/s"
}

// bytesText is a number of bytes for people.
func bytesText(n uint64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/1000, 0
	for v >= 999.5 && unit < len(units)-1 {
		v /= 1000
		unit++
	}
	return fmt.Sprintf("%.3g %cB", v, units[unit])
}
