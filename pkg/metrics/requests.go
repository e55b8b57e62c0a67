package metrics

import (
	"cmp"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

const numRoles = int(stream.RoleServer) + 1

// requests are the series of requests. After init it is only read.
type requests struct {
	total    *prometheus.CounterVec
	rejected *prometheus.CounterVec
	duration *durationVec
	stages   *vec[stages]
	payloads *vec[payloads]

	low   [64]*typeSeries // of the types below, which are the usual ones
	types map[uint64]*typeSeries

	channels map[uint64]map[uint64]*typeSeries // of channels with types of their own
	other    *typeSeries
}

// typeSeries are the series of one request type, by role.
type typeSeries [numRoles]requestSeries

// requestSeries are the series of one request type in one role.
type requestSeries struct {
	outcomes   [stream.NumOutcomes]prometheus.Counter
	rejections [stream.NumRejectReasons]prometheus.Counter // role server only
	duration   *durations
	stages     *stages
	payloads   *payloads
}

func (r *requests) init(types map[uint64]string, channels map[uint64]map[uint64]string) {
	r.total = counters("pktsvc_requests_total",
		"Requests that have ended, by type, role of this side and outcome. Role server includes those rejected before a handler ran.",
		"type", "role", "outcome")
	r.rejected = counters("pktsvc_requests_rejected_total",
		"Requests of peers that were not answered ok, by type and reason.",
		"type", "reason")
	r.duration = newDurationVec("pktsvc_request_duration_seconds",
		"Time from the beginning of a request to its outcome: role client from the call to the answer, "+
			"role server from its acceptance to its queued response. Those of a server that were rejected before they were accepted, or lost with their connection, have none.",
		"type", "role")
	r.stages, r.payloads = newStageVec(), newPayloadVec()
	r.other = r.bind(otherType)
	r.types = r.bindAll(types)
	for typ, s := range r.types {
		if typ < uint64(len(r.low)) {
			r.low[typ] = s
		}
	}
	r.channels = make(map[uint64]map[uint64]*typeSeries, len(channels))
	for channel, types := range channels {
		r.channels[channel] = r.bindAll(types)
	}
}

func (r *requests) bindAll(types map[uint64]string) map[uint64]*typeSeries {
	all := make(map[uint64]*typeSeries, len(types))
	for typ, name := range types {
		all[typ] = r.bind(name)
	}
	return all
}

// bind makes all series of a type.
func (r *requests) bind(name string) *typeSeries {
	s := new(typeSeries)
	for reason := stream.RejectNone + 1; reason < stream.NumRejectReasons; reason++ {
		s[stream.RoleServer].rejections[reason] = r.rejected.WithLabelValues(name, reason.String())
	}
	for i := range s {
		role := stream.Role(i).String()
		for o := stream.OutcomePending + 1; o < stream.NumOutcomes; o++ {
			s[i].outcomes[o] = r.total.WithLabelValues(name, role, o.String())
		}
		s[i].duration = r.duration.with(name, role)
		s[i].stages, s[i].payloads = r.stages.with(name, stream.Role(i)), r.payloads.with(name, stream.Role(i))
	}
	return s
}

func (r *requests) of(channel, typ uint64, role stream.Role) *requestSeries {
	if channel != 0 {
		if types, named := r.channels[channel]; named {
			return &cmp.Or(types[typ], r.other)[role]
		}
	}
	if typ < uint64(len(r.low)) {
		return &cmp.Or(r.low[typ], r.other)[role]
	}
	return &cmp.Or(r.types[typ], r.other)[role]
}

func (s *requestSeries) count(e *stream.Event) {
	if c := s.outcomes[e.Outcome]; c != nil { // none for OutcomePending
		c.Inc()
	}
	if c := s.rejections[e.Rejection]; c != nil { // none for RejectNone
		c.Inc()
	}
}
