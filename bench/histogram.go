package main

import (
	"math/bits"
	"sync/atomic"
	"time"
)

var epoch = time.Now()

// now is the monotonic clock alone, at half the cost of time.Now.
func now() time.Duration { return time.Since(epoch) }

const (
	subBits = 5 // 32 buckets for each doubling: 3 % wide
	octaves = 40
)

// histogram counts nanoseconds.
type histogram struct {
	buckets [octaves << subBits]uint32
}

// Recorder notes what ends while it is measured.
type Recorder struct {
	*histogram
	// shared: by callers that run at once. One each, a thousand of them, would take more
	// time for their misses in the caches than a quick library for a call.
	shared bool
}

// Stopped tells the caller to stop.
func (r *Recorder) Stopped() bool { return phase.Load() == stopping }

// Add notes the duration of a call.
func (r *Recorder) Add(d time.Duration) {
	switch {
	case phase.Load() != measuring:
	case r.shared:
		atomic.AddUint32(r.bucket(d), 1)
	default:
		*r.bucket(d)++
	}
}

func (h *histogram) bucket(d time.Duration) *uint32 {
	v := uint64(max(d, 1<<subBits))
	octave := min(bits.Len64(v)-1-subBits, octaves-1)
	return &h.buckets[octave<<subBits+int(v>>octave)&(1<<subBits-1)]
}

// take adds what another one has counted, and empties that.
func (h *histogram) take(other *histogram) {
	for i := range other.buckets {
		h.buckets[i] += atomic.SwapUint32(&other.buckets[i], 0)
	}
}

func (h *histogram) count() (n uint64) {
	for _, in := range &h.buckets {
		n += uint64(in)
	}
	return n
}

// quantile is in microseconds.
func (h *histogram) quantile(q float64) float64 {
	want, sum := uint64(q*float64(h.count())), uint64(0)
	for i, n := range &h.buckets {
		if sum += uint64(n); sum > want {
			octave := i >> subBits
			low := uint64(1<<subBits+i&(1<<subBits-1)) << octave
			return (float64(low) + float64(uint64(1)<<octave)/2) / 1e3
		}
	}
	return 0
}
