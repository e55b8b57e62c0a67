package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// vec are counters of requests by type, role and one label more, which are kept as
// something that is cheaper to count into than as many of client_golang's counters. It does
// not grow once it is registered.
type vec[T any] struct {
	desc *prometheus.Desc
	show func(s series[T], emit func(value float64, label string))
	all  []series[T]
}

// series are those of one type and role.
type series[T any] struct {
	name string // of the type
	role stream.Role
	of   *T
}

// with returns the series of a type and role.
func (v *vec[T]) with(name string, role stream.Role) *T {
	for _, s := range v.all {
		if s.name == name && s.role == role {
			return s.of
		}
	}
	s := series[T]{name, role, new(T)}
	v.all = append(v.all, s)
	return s.of
}

// Describe sends the one description.
func (v *vec[T]) Describe(ch chan<- *prometheus.Desc) { ch <- v.desc }

// Collect sends all counters.
func (v *vec[T]) Collect(ch chan<- prometheus.Metric) {
	for _, s := range v.all {
		v.show(s, func(value float64, label string) {
			ch <- prometheus.MustNewConstMetric(v.desc, prometheus.CounterValue, value, s.name, s.role.String(), label)
		})
	}
}
