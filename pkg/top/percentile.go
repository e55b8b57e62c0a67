package top

import (
	"cmp"
	"math"
	"slices"
)

// added are the buckets of what came between two states of a histogram, ascending.
func added(before, after []Bucket) []Bucket {
	old := make(map[float64]float64, len(before))
	for _, b := range before {
		old[b[0]] = b[1]
	}
	var list []Bucket
	for _, b := range after {
		if n := b[1] - old[b[0]]; n > 0 {
			list = append(list, Bucket{b[0], n})
		}
	}
	return list
}

func count(buckets []Bucket) (n float64) {
	for _, b := range buckets {
		n += b[1]
	}
	return n
}

// percentile is the bound of the bucket in which the request is that a part q of all
// are not slower than: the true value is up to 9 % less. Without requests it is nil. The
// buckets may be in any order, and several may have the same bound.
func percentile(buckets []Bucket, q float64) *float64 {
	rank := math.Ceil(q * count(buckets))
	if rank == 0 {
		return nil
	}
	sorted := slices.SortedFunc(slices.Values(buckets), func(a, b Bucket) int { return cmp.Compare(a[0], b[0]) })
	bound := 0.0
	for _, b := range sorted {
		bound = b[0]
		if rank -= b[1]; rank <= 0 {
			break
		}
	}
	return &bound
}
