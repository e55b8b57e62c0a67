package metrics

import (
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Totals is what an [Observer] has counted so far, for tools that show it live: the
// difference between two of them is what has happened meanwhile.
type Totals struct {
	Connections int          // open ones
	Stats       stream.Stats // of all connections; levels of the open ones
	Requests    []RequestTotals
}

// RequestTotals are those of one type in one role that has had requests.
type RequestTotals struct {
	Type     string // name, or other
	Role     stream.Role
	Outcomes [stream.NumOutcomes]uint64
	Sum      time.Duration // of all durations
	Buckets  []Bucket      // of durations, ascending, those that are not empty

	RequestBytes, ResponseBytes uint64 // of payloads
}

// Bucket is how many durations were above the bound of the bucket before it, which is
// about 9 % less, and up to its own.
type Bucket struct {
	Bound time.Duration
	Count uint64
}

// Totals returns what has been counted. It does not block.
func (m *Observer) Totals() Totals {
	sum := m.conns.sum()
	t := Totals{Connections: sum.open, Stats: sum.Stats}
	for _, h := range m.requests.duration.children {
		t.Requests = append(t.Requests, RequestTotals{Type: h.labels[0], Role: roleNamed(h.labels[1])})
		r := &t.Requests[len(t.Requests)-1]
		ended := uint64(0)
		for o := stream.OutcomePending + 1; o < stream.NumOutcomes; o++ {
			var out dto.Metric
			if m.requests.total.WithLabelValues(r.Type, h.labels[1], o.String()).Write(&out) == nil {
				r.Outcomes[o] = uint64(out.GetCounter().GetValue())
				ended += r.Outcomes[o]
			}
		}
		if ended == 0 {
			t.Requests = t.Requests[:len(t.Requests)-1]
			continue
		}
		bytes := m.requests.payloads.with(r.Type, r.Role)
		r.RequestBytes, r.ResponseBytes = uint64(bytes[0].Load()), uint64(bytes[1].Load())
		r.Sum, r.Buckets = time.Duration(h.sum.Load()), h.buckets()
	}
	return t
}

func roleNamed(name string) stream.Role {
	if name == stream.RoleServer.String() {
		return stream.RoleServer
	}
	return stream.RoleClient
}

// buckets are the cells that are not empty.
func (h *durations) buckets() (list []Bucket) {
	if n := h.cells[0].Load(); n > 0 {
		list = append(list, Bucket{0, n})
	}
	for i, c := range cells {
		if n := h.cells[1+i].Load(); n > 0 {
			list = append(list, Bucket{c.bound, n})
		}
	}
	return list
}
