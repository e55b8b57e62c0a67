package metrics

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// durations is a histogram of durations, classic and native, that costs a request a
// few nanoseconds: a table leads to a cell, which is counted. client_golang's own
// takes ten times as long, which shows at a million requests a second. What it shows
// is the same, and is made of client_golang's metrics when it is scraped. Its methods
// may be called concurrently.
type durations struct {
	desc    *prometheus.Desc
	labels  []string
	created time.Time

	cells     [numCells]atomic.Uint64
	sum       atomic.Int64 // nanoseconds
	exemplars [numBuckets + 1]atomic.Pointer[prometheus.Exemplar]
}

// durationBuckets reach from what a call within one machine takes to the usual
// time limit of a caller. Native histograms are kept beside them.
var durationBuckets = [...]time.Duration{
	10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

const (
	numBuckets = len(durationBuckets)
	// nativeSchema is that of native buckets each 2^(1/8), 9 %, above the one before.
	nativeSchema   = 3
	perDoubling    = 1 << nativeSchema
	minNative      = -30 * perDoubling // up to 0.93 ns
	maxNative      = 15 * perDoubling  // up to 9 hours; what is above counts there, too
	numNative      = maxNative - minNative + 1
	numCells       = 1 + numNative + numBuckets // the first is for nothing at all; some at the end stay empty
	slotBits       = 7
	slotsInOctave  = 1 << (slotBits - 1) // so many that few have a bound of a cell in them
	numCellOctaves = 43
)

// cell is a part of both a native and a classic bucket.
type cell struct {
	bound   time.Duration // the greatest in it
	native  int           // index of the bucket
	classic int           // index in durationBuckets, or numBuckets
}

// cells are all but the first, in ascending order. cellOf leads from the highest bits
// of a duration to the first cell that may have it.
var cells, cellOf = makeCells()

func makeCells() (cells []cell, table [numCellOctaves * slotsInOctave]uint16) {
	for i := minNative; i <= maxNative; i++ {
		cells = append(cells, cell{bound: time.Duration(math.Exp2(float64(i)/perDoubling) * 1e9), native: i})
	}
	for _, b := range durationBuckets {
		cells = append(cells, cell{bound: b, native: maxNative + 1})
	}
	slices.SortStableFunc(cells, func(a, b cell) int { return cmp.Compare(a.bound, b.bound) })
	cells = slices.DeleteFunc(cells, func(c cell) bool { return c.bound == 0 })
	native := maxNative
	for i := len(cells) - 1; i >= 0; i-- {
		if cells[i].native <= maxNative {
			native = cells[i].native
		}
		cells[i].native = native
		cells[i].classic, _ = slices.BinarySearch(durationBuckets[:], cells[i].bound)
	}
	for slot := range table {
		low := slotsInOctave + slot%slotsInOctave // the bits of the least duration in the slot
		least := time.Duration(low) << (slot / slotsInOctave)
		at, _ := slices.BinarySearchFunc(cells, least, func(c cell, d time.Duration) int { return cmp.Compare(c.bound, d) })
		table[slot] = uint16(min(at, len(cells)-1))
	}
	return cells, table
}

// cellFor is the index in cells for a duration above 0.
func cellFor(d time.Duration) int {
	octave := bits.Len64(uint64(d)) - slotBits
	if octave < 0 {
		octave = 0
		if d < slotsInOctave {
			at := 0
			for cells[at].bound < d {
				at++
			}
			return at
		}
	}
	slot := octave*slotsInOctave + int(d>>octave)&(slotsInOctave-1)
	if slot >= len(cellOf) {
		return len(cells) - 1
	}
	at := int(cellOf[slot])
	for at < len(cells)-1 && cells[at].bound < d {
		at++
	}
	return at
}

// observe counts a duration; a negative one as nothing.
func (h *durations) observe(d time.Duration) {
	if d <= 0 {
		h.cells[0].Add(1)
		return
	}
	h.cells[1+cellFor(d)].Add(1)
	h.sum.Add(int64(d))
}

// observeEnds counts the durations of some requests. Those that ended together are often
// in the same cell, so that the next is looked for there first.
func (h *durations) observeEnds(ends []stream.End) {
	var sum time.Duration
	at, n := 0, uint64(0)
	above, most := time.Duration(-1), time.Duration(0) // of the cell
	for i := range ends {
		d := max(0, ends[i].Duration)
		if d <= above || d > most && at < len(cells) {
			if n > 0 {
				h.cells[at].Add(n)
			}
			at, n, above, most = 0, 0, -1, 0
			if d > 0 {
				at = 1 + cellFor(d)
				most = cells[at-1].bound
				if above = 0; at > 1 {
					above = cells[at-2].bound
				}
			}
		}
		n++
		sum += d
	}
	h.cells[at].Add(n)
	h.sum.Add(int64(sum))
}

// exemplarFresh is how long an exemplar is not replaced: whoever scrapes looks less often,
// and making one costs more than all else about a request.
const exemplarFresh = time.Second

// lacksExemplar says whether the bucket of a duration has no fresh exemplar.
func (h *durations) lacksExemplar(d time.Duration, at time.Time) bool {
	e := h.exemplars[bucketOf(d)].Load()
	return e == nil || at.Sub(e.Timestamp) >= exemplarFresh
}

// keepTrace keeps a trace as the exemplar of a duration's bucket.
func (h *durations) keepTrace(d time.Duration, at time.Time, traceID string) {
	h.exemplars[bucketOf(d)].Store(&prometheus.Exemplar{
		Value: d.Seconds(), Labels: prometheus.Labels{exemplarLabel: traceID}, Timestamp: at,
	})
}

func bucketOf(d time.Duration) int {
	bucket, _ := slices.BinarySearch(durationBuckets[:], d)
	return bucket
}

// Desc tells the series that the histogram is one of.
func (h *durations) Desc() *prometheus.Desc { return h.desc }

// Write fills in a metric with what has been counted until now.
func (h *durations) Write(out *dto.Metric) error {
	sum := float64(h.sum.Load()) / 1e9
	none := h.cells[0].Load()
	count := none
	native := make(map[int]int64)
	var in [numBuckets + 1]uint64
	in[0] = none
	for i, c := range cells {
		if n := h.cells[1+i].Load(); n > 0 {
			native[c.native] += int64(n)
			in[c.classic] += n
			count += n
		}
	}
	buckets, below := make(map[float64]uint64, numBuckets), uint64(0)
	for i, b := range durationBuckets {
		below += in[i]
		buckets[b.Seconds()] = below
	}
	m, err := prometheus.NewConstNativeHistogram(h.desc, count, sum, native, nil, none,
		nativeSchema, prometheus.DefNativeHistogramZeroThreshold, h.created, h.labels...)
	if err != nil {
		return err
	}
	classic, err := prometheus.NewConstHistogram(h.desc, count, sum, buckets, h.labels...)
	if err != nil {
		return err
	}
	both := prometheus.Metric(bothKinds{m, classic})
	var exemplars []prometheus.Exemplar
	for i := range h.exemplars {
		if e := h.exemplars[i].Load(); e != nil {
			exemplars = append(exemplars, *e)
		}
	}
	if len(exemplars) > 0 {
		if both, err = prometheus.NewMetricWithExemplars(both, exemplars...); err != nil {
			return err
		}
	}
	return both.Write(out)
}

// bothKinds is a native histogram with the buckets of a classic one.
type bothKinds struct {
	prometheus.Metric
	classic prometheus.Metric
}

func (b bothKinds) Write(out *dto.Metric) error {
	var classic dto.Metric
	if err := b.classic.Write(&classic); err != nil {
		return err
	}
	if err := b.Metric.Write(out); err != nil {
		return err
	}
	out.Histogram.Bucket = classic.GetHistogram().GetBucket()
	return nil
}

// durationVec are the histograms of one name. It does not grow once it is registered.
type durationVec struct {
	desc     *prometheus.Desc
	children []*durations
}

func newDurationVec(name, help string, labels ...string) *durationVec {
	return &durationVec{desc: prometheus.NewDesc(name, help, labels, nil)}
}

// with returns the histogram of these labels.
func (v *durationVec) with(labels ...string) *durations {
	for _, h := range v.children {
		if slices.Equal(h.labels, labels) {
			return h
		}
	}
	h := &durations{desc: v.desc, labels: labels, created: time.Now()}
	v.children = append(v.children, h)
	return h
}

// Describe sends the one description.
func (v *durationVec) Describe(ch chan<- *prometheus.Desc) { ch <- v.desc }

// Collect sends all histograms.
func (v *durationVec) Collect(ch chan<- prometheus.Metric) {
	for _, h := range v.children {
		ch <- h
	}
}
