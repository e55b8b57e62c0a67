package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// stageNames are the stages of answered requests by role, in their order. That of writing
// is in peer and, as far as it is known when the request ends, in no stage of a server.
var stageNames = [numRoles][]string{
	stream.RoleClient: {"queue", "peer", "deliver"},
	stream.RoleServer: {"queue", "handler"},
}

const numStages = 3

// stages are how long the answered requests of one series spent in each stage, in
// nanoseconds. Its methods may be called concurrently.
type stages [numStages]atomic.Int64

// add counts requests that took a time in all, of it some until they got on, and some until
// they had their answer.
func (s *stages) add(waited, answered, took time.Duration) {
	if waited > 0 { // it seldom is
		s[0].Add(int64(waited))
	}
	// Not all is known of requests that began before somebody wanted to know.
	s[1].Add(max(0, int64(answered-waited)))
	s[2].Add(max(0, int64(took-answered))) // not shown of servers
}

// addEnd counts one request, if it was answered.
func (s *stages) addEnd(e *stream.Event) {
	if e.Answered > 0 {
		s.add(e.Waited, e.Answered, e.Duration)
	}
}

// addEnds counts requests that were answered together.
func (s *stages) addEnds(ends []stream.End) {
	var waited, answered, took time.Duration
	for i := range ends {
		e := &ends[i]
		waited += e.Waited
		answered += e.Answered
		took += e.Duration
	}
	s.add(waited, answered, took)
}

func newStageVec() *vec[stages] {
	desc := prometheus.NewDesc("pktsvc_request_stage_seconds_total",
		"Time that answered requests have spent in each stage: role client in the queue to be sent, with the peer and on the way, "+
			"and until the answer was delivered; role server in the queue for a handler, and in the handler.",
		[]string{"type", "role", "stage"}, nil)
	return &vec[stages]{desc: desc, show: func(s series[stages], emit func(value float64, label string)) {
		for i, stage := range stageNames[s.role] {
			emit(time.Duration(s.of[i].Load()).Seconds(), stage)
		}
	}}
}
