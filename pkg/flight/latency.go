package flight

import (
	"slices"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Latency is how long the requests of a connection took that ended lately, of both roles.
type Latency struct {
	Requests int // that are remembered
	P50, P99 time.Duration
}

// Latencies are those of the connections that had requests since a time, as far as these
// are remembered. It takes some milliseconds, in which it blocks nobody for long.
func (r *Recorder) Latencies(since time.Time) map[*stream.ConnInfo]Latency {
	took := make(map[*stream.ConnInfo][]time.Duration)
	for i := range r.shards {
		r.shards[i].each(func(rec *record) bool {
			if rec.Ended().Before(since) {
				return false // those before it are no later, but for what a list takes
			}
			took[rec.conn] = append(took[rec.conn], rec.Duration)
			return true
		})
	}
	all := make(map[*stream.ConnInfo]Latency, len(took))
	for conn, list := range took {
		slices.Sort(list)
		all[conn] = Latency{len(list), list[(len(list)-1)/2], list[(len(list)-1)*99/100]}
	}
	return all
}
