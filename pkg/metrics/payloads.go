package metrics

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// payloads are how many bytes the payloads of the ended requests of one series had, and
// those of their answers. Its methods may be called concurrently.
type payloads [2]atomic.Int64

func (p *payloads) add(requests, answers int) {
	if requests > 0 {
		p[0].Add(int64(requests))
	}
	if answers > 0 {
		p[1].Add(int64(answers))
	}
}

// addEnds counts requests that were answered together.
func (p *payloads) addEnds(ends []stream.End) {
	requests, answers := 0, 0
	for i := range ends {
		requests += ends[i].RequestSize
		answers += ends[i].ResponseSize
	}
	p.add(requests, answers)
}

func newPayloadVec() *vec[payloads] {
	desc := prometheus.NewDesc("pktsvc_payload_bytes_total",
		"Bytes of the payloads of requests that have ended, and of their answers.",
		[]string{"type", "role", "payload"}, nil)
	return &vec[payloads]{desc: desc, show: func(s series[payloads], emit func(value float64, label string)) {
		for i, of := range []string{"request", "response"} {
			emit(float64(s.of[i].Load()), of)
		}
	}}
}
