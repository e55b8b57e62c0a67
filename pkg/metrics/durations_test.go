package metrics

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// reference is client_golang's own histogram of the same kind.
func reference() prometheus.Histogram {
	var buckets []float64
	for _, b := range durationBuckets {
		buckets = append(buckets, b.Seconds())
	}
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "d", Buckets: buckets, NativeHistogramBucketFactor: 1.1, NativeHistogramMaxExemplars: 100,
	})
}

func written(t *testing.T, m prometheus.Metric) *dto.Histogram {
	t.Helper()
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.GetHistogram()
}

// nativeBuckets are the counts of a histogram by index.
func nativeBuckets(h *dto.Histogram) map[int32]int64 {
	counts := make(map[int32]int64)
	var index int32
	var n int64
	deltas := h.GetPositiveDelta()
	for _, span := range h.GetPositiveSpan() {
		index += span.GetOffset()
		for range span.GetLength() {
			n += deltas[0]
			deltas = deltas[1:]
			if n != 0 {
				counts[index] = n
			}
			index++
		}
	}
	return counts
}

// Every duration falls into the buckets into which client_golang puts it.
func TestDurationsLikeClientGolang(t *testing.T) {
	h, ref := newDurationVec("d", "").with(), reference()
	add := func(d time.Duration) {
		h.observe(d)
		ref.Observe(max(d, 0).Seconds())
	}
	for _, b := range durationBuckets {
		for d := b - 3; d <= b+3; d++ {
			add(d)
		}
	}
	for _, c := range cells {
		for d := c.bound - 1; d <= min(c.bound, cells[len(cells)-1].bound-1)+1; d++ {
			add(d)
		}
	}
	for d := -3 * time.Nanosecond; d < 3000; d++ {
		add(d)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		add(time.Duration(rnd.Uint64N(1 << (1 + rnd.UintN(44)))))
	}
	got, want := written(t, h), written(t, ref)
	if got.GetSampleCount() != want.GetSampleCount() || got.GetZeroCount() != want.GetZeroCount() || got.GetSchema() != want.GetSchema() ||
		got.GetZeroThreshold() != want.GetZeroThreshold() || got.GetCreatedTimestamp() == nil {
		t.Errorf("%d, %d, %d\nwant %d, %d, %d", got.GetSampleCount(), got.GetZeroCount(), got.GetSchema(),
			want.GetSampleCount(), want.GetZeroCount(), want.GetSchema())
	}
	if d := got.GetSampleSum()/want.GetSampleSum() - 1; d > 1e-9 || d < -1e-9 {
		t.Errorf("sum %v, want %v", got.GetSampleSum(), want.GetSampleSum())
	}
	if len(got.GetBucket()) != len(want.GetBucket()) {
		t.Fatalf("%d buckets, want %d", len(got.GetBucket()), len(want.GetBucket()))
	}
	for i, b := range want.GetBucket() {
		if g := got.GetBucket()[i]; g.GetUpperBound() != b.GetUpperBound() || g.GetCumulativeCount() != b.GetCumulativeCount() {
			t.Errorf("bucket %v of %d, want %v of %d", g.GetUpperBound(), g.GetCumulativeCount(), b.GetUpperBound(), b.GetCumulativeCount())
		}
	}
	gotNative, wantNative := nativeBuckets(got), nativeBuckets(want)
	for i, n := range wantNative {
		if gotNative[i] != n {
			t.Errorf("native bucket %d: %d, want %d", i, gotNative[i], n)
		}
	}
	if len(gotNative) != len(wantNative) {
		t.Errorf("%d native buckets, want %d", len(gotNative), len(wantNative))
	}
}

// Durations in lists count like those that come one by one.
func TestDurationsInLists(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	one, lists := newDurationVec("d", "").with(), newDurationVec("d", "").with()
	lists.created = one.created
	for range 2000 {
		ends := make([]stream.End, 1+r.IntN(16))
		for i := range ends {
			if i > 0 && r.IntN(2) == 0 {
				ends[i].Duration = ends[i-1].Duration
			} else {
				ends[i].Duration = time.Duration(r.Uint64()>>r.IntN(64)) - time.Duration(r.IntN(2))
			}
			one.observe(ends[i].Duration)
		}
		lists.observeEnds(ends)
	}
	for i := range one.cells {
		if got, want := lists.cells[i].Load(), one.cells[i].Load(); got != want {
			t.Errorf("cell %d has %d, want %d", i, got, want)
		}
	}
	if got, want := lists.sum.Load(), one.sum.Load(); got != want {
		t.Errorf("%d in all, want %d", got, want)
	}
}

// What is longer than any bucket counts in the last one, and nothing is lost.
func TestDurationsOutOfRange(t *testing.T) {
	h := newDurationVec("d", "").with()
	for _, d := range []time.Duration{-1, 0, 1, 1<<63 - 1, 24 * time.Hour} {
		h.observe(d)
	}
	got := written(t, h)
	if got.GetSampleCount() != 5 || got.GetZeroCount() != 2 {
		t.Errorf("%d counted, %d as nothing", got.GetSampleCount(), got.GetZeroCount())
	}
	if last := nativeBuckets(got)[maxNative]; last != 2 {
		t.Errorf("%d in the last bucket", last)
	}
}

// Exemplars stand in their buckets, and are replaced when they are not fresh any more.
func TestDurationsExemplars(t *testing.T) {
	h := newDurationVec("d", "").with()
	keep := func(d time.Duration, at time.Time, trace string) {
		h.observe(d)
		if h.lacksExemplar(d, at) {
			h.keepTrace(d, at, trace)
		}
	}
	at := time.Now()
	keep(2*time.Millisecond, at, "early")
	keep(2*time.Millisecond, at.Add(exemplarFresh), "late")
	keep(2*time.Millisecond, at.Add(2*exemplarFresh-1), "too soon")
	keep(time.Hour, at, "long")
	got := written(t, h)
	found := make(map[string]float64)
	for _, b := range got.GetBucket() {
		if e := b.GetExemplar(); e != nil {
			found[e.GetLabel()[0].GetValue()] = e.GetValue()
		}
	}
	if len(found) != 2 || found["late"] != .002 || found["long"] != 3600 || len(got.GetExemplars()) != 2 {
		t.Errorf("%v, native %v", found, got.GetExemplars())
	}
}

// Counting and scraping at once loses nothing.
func TestDurationsConcurrently(t *testing.T) {
	h := newDurationVec("d", "").with()
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := range 5000 {
				h.observe(time.Duration(n*(i+1)) * time.Microsecond)
				if n%500 == 0 {
					h.keepTrace(time.Millisecond, time.Now(), "trace")
					var out dto.Metric
					if err := h.Write(&out); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	if n := written(t, h).GetSampleCount(); n != 4*5000 {
		t.Errorf("%d counted", n)
	}
}

func TestDurationsDoNotAllocate(t *testing.T) {
	h := newDurationVec("d", "").with()
	if n := testing.AllocsPerRun(1000, func() { h.observe(123456) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDurations(b *testing.B) {
	h, ref := newDurationVec("d", "").with(), reference()
	durations := make([]time.Duration, 1024)
	for i := range durations {
		durations[i] = time.Duration(50_000 + rand.IntN(200_000))
	}
	b.Run("here", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			h.observe(durations[i%1024])
		}
	})
	b.Run("client_golang", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			ref.Observe(durations[i%1024].Seconds())
		}
	})
}

func BenchmarkDurationsOfEnds(b *testing.B) {
	h := newDurationVec("d", "").with()
	ends := make([]stream.End, 16)
	for i := range ends {
		ends[i].Duration = time.Duration(600_000 - i*1500)
	}
	for n := 0; n < b.N; n += len(ends) {
		h.observeEnds(ends)
	}
}
