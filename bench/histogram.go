package main

import (
	"math/bits"
	"time"
)

var epoch = time.Now()

// now is the monotonic clock alone, at half the cost of time.Now.
func now() time.Duration { return time.Since(epoch) }

const (
	subBits = 5 // 32 buckets for each doubling: 3 % wide
	octaves = 40
)

// histogram counts nanoseconds. It is small, since there is one for each caller.
type histogram struct {
	n       uint64
	buckets [octaves << subBits]uint32
}

// Recorder is one caller's histogram. Only what ends while it is measured counts.
type Recorder struct{ histogram }

// Stopped tells the caller to stop.
func (r *Recorder) Stopped() bool { return phase.Load() == stopping }

// Add notes the duration of a call.
func (r *Recorder) Add(d time.Duration) {
	if phase.Load() == measuring {
		r.add(d)
	}
}

func (h *histogram) add(d time.Duration) {
	v := uint64(max(d, 1<<subBits))
	octave := min(bits.Len64(v)-1-subBits, octaves-1)
	h.n++
	h.buckets[octave<<subBits+int(v>>octave)&(1<<subBits-1)]++
}

// merge adds what another one has counted.
func (h *histogram) merge(other *histogram) {
	h.n += other.n
	for i, n := range &other.buckets {
		h.buckets[i] += n
	}
}

// quantile is in microseconds.
func (h *histogram) quantile(q float64) float64 {
	want, sum := uint64(q*float64(h.n)), uint64(0)
	for i, n := range &h.buckets {
		if sum += uint64(n); sum > want {
			octave := i >> subBits
			low := uint64(1<<subBits+i&(1<<subBits-1)) << octave
			return (float64(low) + float64(uint64(1)<<octave)/2) / 1e3
		}
	}
	return 0
}
