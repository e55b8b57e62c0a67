package server

import (
	"cmp"
	"net/http"
	"time"

	"github.com/pktsvc/pktsvc/pkg/flight"
	"github.com/pktsvc/pktsvc/pkg/metrics"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// statz is the answer of /statz: counters since the start, and levels. The difference
// between two of them is what has happened meanwhile.
type statz struct {
	Now     time.Time `json:"now"`
	Started time.Time `json:"started"`

	Connections     int    `json:"connections"` // open ones
	InFlight        int    `json:"in_flight"`   // calls of this side
	Serving         int    `json:"serving"`     // handlers that run
	Queued          int    `json:"queued"`      // requests that wait for one
	BytesReceived   uint64 `json:"bytes_received"`
	BytesSent       uint64 `json:"bytes_sent"`
	PacketsReceived uint64 `json:"packets_received"`
	PacketsSent     uint64 `json:"packets_sent"`
	Stalls          uint64 `json:"stalls"`

	Requests []statzRequests `json:"requests"` // by type and role
}

// statzRequests are those of one type and role.
type statzRequests struct {
	Type     string            `json:"type"` // name, or other
	Role     string            `json:"role"` // of this side
	Outcomes map[string]uint64 `json:"outcomes"`
	InFlight int               `json:"in_flight"` // not answered yet
	SumUS    int64             `json:"sum_us"`    // of durations

	RequestBytes  uint64 `json:"request_bytes"` // of payloads
	ResponseBytes uint64 `json:"response_bytes"`

	// Buckets has, ascending, pairs of a duration in microseconds and how many requests
	// took up to it, and longer than the one before: those that are not empty.
	Buckets [][2]float64 `json:"buckets"`
}

// stats serves /statz.
type stats struct {
	metrics  *metrics.Observer
	recorder *flight.Recorder
	names    naming
	started  time.Time
}

type typeAndRole struct{ typ, role string }

// inFlight is how many requests of each type are not answered yet.
func (s stats) inFlight() map[typeAndRole]int {
	n := make(map[typeAndRole]int)
	s.recorder.EachInFlight(func(q *stream.OpenRequest) {
		n[typeAndRole{cmp.Or(s.names.of(q.Channel, q.Type), "other"), q.Role.String()}]++
	})
	return n
}

func (s stats) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := newQuery(r.URL.Query()).err(); err != nil {
		badRequest(w, err)
		return
	}
	t, inFlight := s.metrics.Totals(), s.inFlight()
	out := statz{
		Now: time.Now(), Started: s.started, Connections: t.Connections,
		InFlight: t.Stats.InFlight, Serving: t.Stats.Serving, Queued: t.Stats.Queued,
		BytesReceived: t.Stats.BytesReceived, BytesSent: t.Stats.BytesSent,
		PacketsReceived: t.Stats.PacketsReceived, PacketsSent: t.Stats.PacketsSent, Stalls: t.Stats.Stalls,
		Requests: []statzRequests{},
	}
	for _, one := range t.Requests {
		of := statzRequests{Type: one.Type, Role: one.Role.String(), Outcomes: make(map[string]uint64), SumUS: one.Sum.Microseconds()}
		of.RequestBytes, of.ResponseBytes = one.RequestBytes, one.ResponseBytes
		key := typeAndRole{of.Type, of.Role}
		of.InFlight = inFlight[key]
		delete(inFlight, key)
		for o := stream.OutcomePending + 1; o < stream.NumOutcomes; o++ {
			if n := one.Outcomes[o]; n > 0 {
				of.Outcomes[o.String()] = n
			}
		}
		for _, b := range one.Buckets {
			of.Buckets = append(of.Buckets, [2]float64{float64(b.Bound) / 1e3, float64(b.Count)})
		}
		out.Requests = append(out.Requests, of)
	}
	for key, n := range inFlight { // none of which has ended yet
		out.Requests = append(out.Requests, statzRequests{Type: key.typ, Role: key.role, Outcomes: map[string]uint64{}, InFlight: n})
	}
	writeJSON(w, http.StatusOK, out)
}
