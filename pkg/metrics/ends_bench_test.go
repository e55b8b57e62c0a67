package metrics

import (
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// What a request costs that ends with 15 others.
func BenchmarkObserveEnds(b *testing.B) {
	m, _ := mustNew(b, Options{Types: typeNames})
	ends := make([]stream.End, 16)
	for i := range ends {
		ends[i] = stream.End{Duration: time.Duration(600_000 - i*1500), Answered: 300_000, RequestSize: 16, ResponseSize: 16}
	}
	b.ReportAllocs()
	for n := 0; n < b.N; n += len(ends) {
		m.ObserveEnds(nil, stream.RoleClient, ends)
	}
}
