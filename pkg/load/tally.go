package load

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Latencies are kept with an error of at most 0.1 %; longer ones than this count
// as this.
const (
	longestLatency = int64(time.Hour)
	latencyDigits  = 3
)

// tally counts what some of the callers see. There are fewer of them than
// callers, since a histogram takes some 300 kB.
type tally struct {
	mu      sync.Mutex
	latency *hdrhistogram.Histogram // in ns; its count is that of right answers
	bytes   uint64
	errors  [wrongAnswer + 1]failures
}

// failures are those of one outcome.
type failures struct {
	count uint64
	first string // the error's text: its payload may be in a buffer that is used again
}

func newTally() *tally { return &tally{latency: newHistogram()} }

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, longestLatency, latencyDigits)
}

func (t *tally) answered(latency time.Duration, bytes int) {
	t.mu.Lock()
	_ = t.latency.RecordValue(min(max(int64(latency), 0), longestLatency)) // in its range
	t.bytes += uint64(bytes)
	t.mu.Unlock()
}

func (t *tally) failed(outcome stream.Outcome, err error) {
	t.mu.Lock()
	f := &t.errors[outcome]
	if f.count++; f.first == "" {
		f.first = err.Error()
	}
	t.mu.Unlock()
}
