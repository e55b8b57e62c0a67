package metrics

import (
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestTotals(t *testing.T) {
	m, err := New(nil, Options{Types: map[uint64]string{1: "Echo", 2: "Quiet"}})
	if err != nil {
		t.Fatal(err)
	}
	m.ObserveEnds(nil, stream.RoleServer, []stream.End{{Type: 1, Duration: time.Millisecond}, {Type: 1, Duration: time.Millisecond}, {Type: 1}})
	m.Observe(t.Context(), &stream.Event{Kind: stream.EventCallDone, Packet: stream.Packet{Type: 9}, Outcome: stream.OutcomeLost, Duration: time.Second})
	got := m.Totals()
	if len(got.Requests) != 2 || got.Connections != 0 {
		t.Fatalf("%+v", got)
	}
	for _, r := range got.Requests {
		switch {
		case r.Type == "Echo" && r.Role == stream.RoleServer:
			if r.Outcomes[stream.OutcomeOK] != 3 || r.Sum != 2*time.Millisecond || len(r.Buckets) != 2 || r.Buckets[0] != (Bucket{0, 1}) {
				t.Errorf("%+v", r)
			} else if b := r.Buckets[1]; b.Count != 2 || b.Bound < time.Millisecond || b.Bound > 1100*time.Microsecond {
				t.Errorf("%+v", b)
			}
		case r.Type == "other" && r.Role == stream.RoleClient:
			if r.Outcomes[stream.OutcomeLost] != 1 || r.Sum != time.Second {
				t.Errorf("%+v", r)
			}
		default:
			t.Errorf("%+v", r)
		}
	}
}
